"""From received blocks to ranked identities; knows nothing of gRPC calls or threads."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accesspoint.errors import NotReadyError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import Found
from accesspoint.matching.tracks import TrackFusion
from accesspoint.receiver.deciding import Policies, fill, fuse
from airreid import log
from airreid.bundle import Bundle
from airreid.errors import BundleError, InputError
from airreid.payload import Payload, get, link_of
from airreid.scheme import DIRECT_SNR_DB, check_link
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN
from airreid.v1 import common_pb2, uplink_pb2

TOP_K_DEFAULT, TOP_K_MAX = 10, 1000
TOP_ENTRIES_MAX = 100_000
ID_MAX = 128

Request = uplink_pb2.QueryRequest
Response = uplink_pb2.QueryResponse


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """A request that has been understood, and the response that is being made for it."""

    request: Request
    response: Response
    payload: Payload
    snr_db: float
    """The channel's report, or what is assumed of a direct link."""


def response_to(request: Request) -> Response:
    """A response that so far says only to which block it belongs and how that came."""
    return Response(
        id=request.id,
        link=link_of(request) or "",
        channel=request.channel if request.HasField("channel") else None,
    )


def refuse(response: Response, code: common_pb2.Code.ValueType, message: str) -> Response:
    """Says what became of a block that is not searched for."""
    response.status.code = code
    response.status.message = message
    return response


class Receiver:
    """Answers batches of blocks; a bad block gets its status, the others their answers."""

    def __init__(self, bundle: Bundle, gallery: Gallery, tracks: TrackFusion | None = None) -> None:
        """``tracks`` None answers every block by itself, whatever track it names."""
        self._bundle = bundle
        self._gallery = gallery
        self._tracks = tracks
        self._policies = Policies(gallery)

    @property
    def deletions(self) -> int:
        """Changes when entries are deleted: earlier answers may name somebody who is gone."""
        return self._gallery.deletions

    def is_local(self, scheme_id: str) -> bool:
        """Whether a block of the scheme waits for nothing but this processor."""
        return self._gallery.is_local(scheme_id)

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        """One response for each request, in order."""
        read = [self.read(request) for request in requests]
        groups: dict[str, list[Block]] = defaultdict(list)
        for one in read:
            if isinstance(one, Block):
                groups[one.request.scheme_id].append(one)
        for scheme_id, blocks in groups.items():
            self.process(scheme_id, blocks)
        return [one.response if isinstance(one, Block) else one for one in read]

    def read(self, request: Request) -> Block | Response:
        """The block of a request, or the response that says what is wrong with it."""
        response = response_to(request)
        status = self._check(request)
        if status is not None:
            response.status.CopyFrom(status)
            return response
        try:
            return self._block(request, response)
        except InputError as error:
            return refuse(response, common_pb2.CODE_INVALID, str(error))

    def _check(self, request: Request) -> common_pb2.Status | None:
        wrong = wrong_id(request)
        if wrong:
            return _status(common_pb2.CODE_INVALID, wrong)
        if request.bundle_id != self._bundle.bundle_id:
            return _status(
                common_pb2.CODE_WRONG_BUNDLE,
                f"bundle {request.bundle_id[:16] or '(none)'} is not the one served here, "
                f"{self._bundle.bundle_id} ({self._bundle.manifest.name}); give the edge that one",
            )
        try:
            self._bundle.scheme(request.scheme_id[:64])
        except BundleError as error:
            return _status(common_pb2.CODE_UNKNOWN_SCHEME, str(error))
        if request.top_k > TOP_K_MAX or request.top_entries > TOP_ENTRIES_MAX:
            return _status(
                common_pb2.CODE_INVALID,
                f"top_k is at most {TOP_K_MAX} and top_entries {TOP_ENTRIES_MAX}",
            )
        return None

    def _block(self, request: Request, response: Response) -> Block:
        info = self._bundle.scheme(request.scheme_id)
        payload = get(request, info.bandwidth)
        check_link(info, payload.link)
        snr_db = request.channel.snr_db if request.HasField("channel") else DIRECT_SNR_DB
        if math.isnan(snr_db):
            raise InputError("channel report: the SNR is not a number")
        return Block(request, response, payload, min(max(snr_db, SNR_DB_MIN), SNR_DB_MAX))

    def process(self, scheme_id: str, blocks: Sequence[Block]) -> None:
        """Answers blocks of one scheme together; if one cannot be used, each for itself."""
        try:
            self._decode_and_search(scheme_id, blocks)
        except InputError as error:
            if len(blocks) > 1:
                for block in blocks:
                    self.process(scheme_id, [block])
                return
            refuse(blocks[0].response, common_pb2.CODE_INVALID, str(error))
        except NotReadyError as error:
            if self._tracks is not None:  # these blocks will come again
                self._tracks.forget()
            for block in blocks:
                refuse(block.response, common_pb2.CODE_NOT_READY, str(error))
        except Exception as error:  # one failing scheme must not take the others along
            log.warning("decode_failed", scheme=scheme_id, error=str(error))
            for block in blocks:
                refuse(
                    block.response,
                    common_pb2.CODE_INTERNAL,
                    f"access point: {type(error).__name__}",
                )

    def _decode_and_search(self, scheme_id: str, blocks: Sequence[Block]) -> None:
        started = time.perf_counter()
        received = self._gallery.scheme(scheme_id).unpack(
            [block.payload for block in blocks], [block.snr_db for block in blocks]
        )
        decoded = time.perf_counter()
        arrived = np.flatnonzero(~received.lost).tolist()
        live = [blocks[i] for i in arrived]
        if live:
            self._search(scheme_id, live, received.embeddings[arrived])
        searched = time.perf_counter()
        for block, lost in zip(blocks, received.lost.tolist(), strict=True):
            if lost:
                _fill_outage(block)
            block.response.timings.decode_ms = (decoded - started) * 1e3
            block.response.timings.search_ms = (searched - decoded) * 1e3
            block.response.timings.batch = len(blocks)

    def _search(
        self, scheme_id: str, blocks: Sequence[Block], embeddings: NDArray[np.float32]
    ) -> None:
        requests = [block.request for block in blocks]
        fused = fuse(self._tracks, requests, embeddings, [block.snr_db for block in blocks])
        found = self._gallery.search(
            scheme_id,
            fused.embeddings,
            max(2, *((request.top_k or TOP_K_DEFAULT) for request in requests)),
            max(request.top_entries for request in requests),
        )
        policy = self._policies.now()
        for row, (block, one) in enumerate(zip(blocks, found, strict=True)):
            _fill(block.response, block.request, one)
            fill(block.response, one, scheme_id, fused.snrs_db[row], policy)
            if fused.frames[row] > 1:
                block.response.fused_frames = fused.frames[row]


def wrong_id(request: Request) -> str:
    """What is wrong with a block's name; empty if nothing."""
    for what, name in (("edge_id", request.id.edge_id), ("spool_id", request.id.spool_id)):
        if len(name) > ID_MAX:
            return f"{what}: longer than {ID_MAX} characters"
    return ""


def _fill(response: Response, request: Request, found: Found) -> None:
    response.status.code = common_pb2.CODE_OK
    for match in found.matches[: request.top_k or TOP_K_DEFAULT]:
        response.identities.add(
            subject=match.subject, score=match.score, entry_id=match.entry_id, camera=match.camera
        )
    response.entry_ids.extend(found.entry_ids[: request.top_entries].tolist())
    response.entry_scores.extend(found.scores[: request.top_entries].tolist())


def _fill_outage(block: Block) -> None:
    """Says that the block's bits are gone, and no more: there is nothing to search for."""
    why = (
        "no code word of the list passes its CRC"
        if block.payload.link == "coded"
        else "more bits than capacity carries"
    )
    at = f" at {block.snr_db:+.3g} dB" if block.request.HasField("channel") else ""
    block.response.outage = True
    refuse(
        block.response,
        common_pb2.CODE_OUTAGE,
        f"{block.request.scheme_id}: block lost{at}: {why}",
    )


def _status(code: common_pb2.Code.ValueType, message: str) -> common_pb2.Status:
    return common_pb2.Status(code=code, message=message)
