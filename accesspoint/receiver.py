"""From received blocks to ranked identities; knows nothing of gRPC calls or threads."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from accesspoint.gallery import Found, Gallery
from airreid import log, wire
from airreid.bundle import Bundle
from airreid.errors import BundleError, InputError
from airreid.v1 import common_pb2, uplink_pb2

TOP_K_DEFAULT, TOP_K_MAX = 10, 1000
TOP_ENTRIES_MAX = 100_000
_ID_MAX = 128

Request = uplink_pb2.QueryRequest
Response = uplink_pb2.QueryResponse


class Receiver:
    """Answers batches of blocks; a bad block gets its status, the others their answers."""

    def __init__(self, bundle: Bundle, gallery: Gallery) -> None:
        self._bundle = bundle
        self._gallery = gallery

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        """One response for each request, in order."""
        responses = [
            Response(id=request.id, link="analog", channel=_report(request)) for request in requests
        ]
        groups: dict[str, list[tuple[int, NDArray[np.float32]]]] = defaultdict(list)
        for position, (request, response) in enumerate(zip(requests, responses, strict=True)):
            status = self._check(request)
            if status is None:
                try:
                    symbols = self._symbols(request)
                except InputError as error:
                    status = _status(common_pb2.CODE_INVALID, str(error))
                else:
                    groups[request.scheme_id].append((position, symbols))
                    continue
            response.status.CopyFrom(status)
        for scheme_id, blocks in groups.items():
            positions = [position for position, _ in blocks]
            try:
                self._answer_group(
                    scheme_id,
                    np.stack([symbols for _, symbols in blocks]),
                    [requests[i] for i in positions],
                    [responses[i] for i in positions],
                )
            except Exception as error:  # one failing scheme must not take the others along
                log.warning("decode_failed", scheme=scheme_id, error=str(error))
                for i in positions:
                    responses[i].status.CopyFrom(
                        _status(common_pb2.CODE_INTERNAL, f"access point: {type(error).__name__}")
                    )
        return responses

    def _check(self, request: Request) -> common_pb2.Status | None:
        for what, name in (("edge_id", request.id.edge_id), ("spool_id", request.id.spool_id)):
            if len(name) > _ID_MAX:
                return _status(common_pb2.CODE_INVALID, f"{what}: longer than {_ID_MAX} characters")
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

    def _symbols(self, request: Request) -> NDArray[np.float32]:
        bandwidth = self._bundle.scheme(request.scheme_id).bandwidth
        return wire.from_bytes(request.analog.symbols, bandwidth, f"{request.scheme_id} symbols")

    def _answer_group(
        self,
        scheme_id: str,
        received: NDArray[np.float32],
        requests: list[Request],
        responses: list[Response],
    ) -> None:
        started = time.perf_counter()
        embeddings = self._gallery.runner(scheme_id).decode(received)
        decoded = time.perf_counter()
        found = self._gallery.search(
            scheme_id,
            embeddings,
            max((request.top_k or TOP_K_DEFAULT) for request in requests),
            max(request.top_entries for request in requests),
        )
        searched = time.perf_counter()
        for request, response, one in zip(requests, responses, found, strict=True):
            _fill(response, request, one)
            response.timings.decode_ms = (decoded - started) * 1e3
            response.timings.search_ms = (searched - decoded) * 1e3
            response.timings.batch = len(requests)


def _fill(response: Response, request: Request, found: Found) -> None:
    response.status.code = common_pb2.CODE_OK
    for match in found.matches[: request.top_k or TOP_K_DEFAULT]:
        response.identities.add(
            subject=match.subject, score=match.score, entry_id=match.entry_id, camera=match.camera
        )
    response.entry_ids.extend(found.entry_ids[: request.top_entries].tolist())
    response.entry_scores.extend(found.scores[: request.top_entries].tolist())


def _report(request: Request) -> uplink_pb2.ChannelReport | None:
    return request.channel if request.HasField("channel") else None


def _status(code: common_pb2.Code.ValueType, message: str) -> common_pb2.Status:
    return common_pb2.Status(code=code, message=message)
