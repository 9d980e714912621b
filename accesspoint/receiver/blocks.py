"""Receiver: from blocks as they arrive to ranked identities, without gRPC or threads."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accesspoint.errors import NotReadyError
from accesspoint.gallery.records import SearchResult
from accesspoint.gallery.search.running_scores import RunningScores
from accesspoint.gallery.searchable import SearchableGallery
from accesspoint.matching.decision import calibrated_for, decide
from accesspoint.matching.tracks import TrackFusion
from accesspoint.receiver.coded_pieces import write_uses
from accesspoint.receiver.deciding import PolicyReader, fuse_tracks
from accesspoint.receiver.deep_searches import DeepSearches
from accesspoint.receiver.piecewise import PiecewiseSearch
from accesspoint.receiver.recent_snrs import RecentSnrs
from accesspoint.receiver.requests import Request, cost, wrong_field, wrong_id
from accesspoint.receiver.responses import (
    Response,
    begin_again,
    depth_of,
    refuse,
    response_to,
    write_answer,
    write_link_report,
    write_outage,
)
from airreid import log
from airreid.bundle import Bundle
from airreid.errors import BundleError, InputError
from airreid.nested.stopping import StoppingSettings
from airreid.payload import Heard, first_piece_of, get, symbols_of
from airreid.scheme import DIRECT_SNR_DB, Received, check_link, check_piece
from airreid.scheme_info import NestedInfo
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN
from airreid.v1 import common_pb2

TOP_K_MAX = 1000
TOP_ENTRIES_MAX = 100_000


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """A request that has been understood, and the response that is being made for it."""

    request: Request
    response: Response
    payload: Heard
    """Payload of the request, or what was heard of a block whose pieces are held."""
    snr_db: float
    """The channel's report, or what is assumed of a direct link."""
    heard_uses: int = 0
    """Uses heard of a nested block that comes piece by piece."""
    running: RunningScores | None = None
    """Scores of the pieces before, which a search goes on from."""


class Receiver:
    """Answers batches of blocks; a bad block gets its status, the others their answers."""

    def __init__(
        self,
        bundle: Bundle,
        gallery: SearchableGallery,
        tracks: TrackFusion | None = None,
        stopping: StoppingSettings | None = None,
    ) -> None:
        """``tracks`` None answers every block by itself, whatever track it names. ``stopping``:
        when blocks in pieces are answered."""
        self._bundle = bundle
        self._gallery = gallery
        self._tracks = tracks
        self._policy_reader = PolicyReader(gallery)
        self._links = RecentSnrs()
        self._deep_searches = DeepSearches()
        self._stopping = stopping or StoppingSettings()
        self._piecewise = PiecewiseSearch(bundle, gallery, self._stopping, self._links, tracks)
        self._bandwidths = {info.id: info.bandwidth for info in bundle.manifest.schemes}

    @property
    def deletions(self) -> int:
        """Counter that changes when entries are deleted.

        An answer made before may name somebody who is gone.
        """
        return self._gallery.deletions

    @property
    def nested(self) -> Mapping[str, NestedInfo]:
        """Nested schemes of the bundle, by id."""
        return self._piecewise.infos

    def bandwidth_in_pieces(self, request: Request) -> int | None:
        """Returns the bandwidth of a request's scheme; None of a block that is not in pieces."""
        symbols = symbols_of(request)
        in_pieces = symbols is not None and symbols.piece_uses
        return self._bandwidths.get(request.scheme_id) if in_pieces else None

    def is_dear(self, request: Request) -> bool:
        """Returns whether a block's search costs as much as those of many others: by what it asks
        for, or because one of its camera did of late."""
        return cost(request) > 1 or self._deep_searches.of_late(request.id.edge_id)

    def is_local(self, scheme_id: str) -> bool:
        """Returns whether a block of the scheme waits for nothing but this processor."""
        return self._gallery.is_local(scheme_id)

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        """Returns one response for each request, in order."""
        outcomes = [self.read(request) for request in requests]
        by_scheme: dict[str, list[Block]] = defaultdict(list)
        for outcome in outcomes:
            if isinstance(outcome, Block):
                by_scheme[outcome.request.scheme_id].append(outcome)
        for scheme_id, blocks in by_scheme.items():
            self.process(scheme_id, blocks)
        return [outcome.response if isinstance(outcome, Block) else outcome for outcome in outcomes]

    def read(self, request: Request) -> Block | Response:
        """Returns the block of a request, or the response that says what is wrong with it."""
        response = response_to(request)
        refusal = self._refusal(request)
        if refusal is not None:
            return refuse(response, *refusal)
        try:
            return self._block(request, response)
        except InputError as error:
            return refuse(response, common_pb2.CODE_INVALID, str(error))

    def _refusal(self, request: Request) -> tuple[common_pb2.Code.ValueType, str] | None:
        """Returns what speaks against a request apart from its payload; None if nothing."""
        wrong = wrong_id(request) or wrong_field(request)
        if wrong:
            return common_pb2.CODE_INVALID, wrong
        if request.bundle_id != self._bundle.bundle_id:
            return (
                common_pb2.CODE_WRONG_BUNDLE,
                f"bundle {request.bundle_id[:16] or '(none)'} is not the one served here, "
                f"{self._bundle.bundle_id} ({self._bundle.manifest.name}); give the edge that one "
                "(--bundle, AIRREID_BUNDLE)",
            )
        try:
            self._bundle.scheme(request.scheme_id[:64])
        except BundleError as error:
            return common_pb2.CODE_UNKNOWN_SCHEME, str(error)
        if request.top_k > TOP_K_MAX or request.top_entries > TOP_ENTRIES_MAX:
            return (
                common_pb2.CODE_INVALID,
                f"top_k is at most {TOP_K_MAX} and top_entries {TOP_ENTRIES_MAX}",
            )
        return None

    def _block(self, request: Request, response: Response) -> Block:
        """Reads the payload. Raises :class:`InputError` for one that does not fit the scheme."""
        info = self._bundle.scheme(request.scheme_id)
        payload = get(request, info.bandwidth)
        check_link(info, payload.link)
        check_piece(info, payload)
        snr_db = request.channel.snr_db if request.HasField("channel") else DIRECT_SNR_DB
        if math.isnan(snr_db):
            raise InputError("channel report: the SNR is not a number")
        return Block(request, response, payload, min(max(snr_db, SNR_DB_MIN), SNR_DB_MAX))

    def process(self, scheme_id: str, blocks: Sequence[Block]) -> None:
        """Answers blocks of one scheme together; one that cannot be used harms no other."""
        self._note_snrs(blocks)
        self._process(scheme_id, blocks)

    def _process(self, scheme_id: str, blocks: Sequence[Block]) -> None:
        try:
            self._decode_and_search(scheme_id, blocks)
            return
        except Exception as error:
            failure = error
        for block in blocks:
            begin_again(block.response, block.request)
        if isinstance(failure, NotReadyError):
            if self._tracks is not None:  # these blocks will come again
                self._tracks.forget()
            for block in blocks:
                refuse(block.response, common_pb2.CODE_NOT_READY, str(failure))
        elif isinstance(failure, BundleError):  # a file of the bundle was altered since the start
            log.warning("scheme_unusable", scheme=scheme_id, error=str(failure))
            why = f"the access point cannot use scheme {scheme_id}: its log says why"
            for block in blocks:
                refuse(block.response, common_pb2.CODE_INTERNAL, why)
        elif len(blocks) > 1:  # the others of a half without it are computed together still
            middle = len(blocks) // 2
            self._process(scheme_id, blocks[:middle])
            self._process(scheme_id, blocks[middle:])
        elif isinstance(failure, InputError):
            refuse(blocks[0].response, common_pb2.CODE_INVALID, str(failure))
        else:
            log.warning("decode_failed", scheme=scheme_id, error=str(failure))
            why = f"access point: {type(failure).__name__}"
            refuse(blocks[0].response, common_pb2.CODE_INTERNAL, why)

    def _decode_and_search(self, scheme_id: str, blocks: Sequence[Block]) -> None:
        started = time.perf_counter()
        scheme = self._gallery.scheme(scheme_id)
        received = scheme.unpack(
            [block.payload for block in blocks], [block.snr_db for block in blocks]
        )
        write_uses(scheme, self._stopping, self._links, blocks, received.lost)
        decoded = time.perf_counter()
        self._search_arrived(scheme_id, blocks, received)
        searched = time.perf_counter()
        for block, lost in zip(blocks, received.lost.tolist(), strict=True):
            if lost and not block.response.more_wanted:
                write_outage(block.response, block.request, block.snr_db)
            if block.request.report_wanted and not block.response.more_wanted:
                recent = self._links.of(block.request.id.edge_id)
                if recent is not None:
                    write_link_report(block.response, recent)
            block.response.timings.decode_ms = (decoded - started) * 1e3
            block.response.timings.search_ms = (searched - decoded) * 1e3
            block.response.timings.batch = len(blocks)

    def _search_arrived(self, scheme_id: str, blocks: Sequence[Block], received: Received) -> None:
        """Searches for the blocks that are not lost; refuses those without finite numbers."""
        usable = np.isfinite(received.embeddings).all(axis=1)
        arrived = ~received.lost & usable
        if arrived.all():
            self._search(scheme_id, blocks, received.embeddings)
            return
        for row in np.flatnonzero(~received.lost & ~usable).tolist():
            log.warning("embedding_not_finite", scheme=scheme_id)
            reason = f"the decoder of {scheme_id} makes no finite numbers of this block"
            refuse(blocks[row].response, common_pb2.CODE_INVALID, reason)
        if arrived.any():
            chosen = [blocks[row] for row in np.flatnonzero(arrived).tolist()]
            self._search(scheme_id, chosen, received.embeddings[arrived])

    def _note_snrs(self, blocks: Sequence[Block]) -> None:
        """Notes what the channel says of each block, once of one that comes in pieces."""
        for block in blocks:
            if block.response.HasField("channel") and not first_piece_of(block.request):
                self._links.heard(block.request.id.edge_id, block.response.channel.snr_db)

    def _search(
        self, scheme_id: str, blocks: Sequence[Block], embeddings: NDArray[np.float32]
    ) -> None:
        """Searches for embeddings (n, dim), of the blocks in order, and writes their answers."""
        policy = self._policy_reader.current()
        rule = policy.stopping.get(scheme_id)
        enough = self._piecewise.heard_enough(scheme_id, blocks, embeddings, rule)
        if not enough:
            return
        if len(enough) < len(blocks):
            blocks, embeddings = [blocks[row] for row in enough], embeddings[list(enough)]
        requests = [block.request for block in blocks]
        nested = self._piecewise.infos.get(scheme_id)
        fused = fuse_tracks(
            self._tracks,
            requests,
            embeddings,
            [block.snr_db for block in blocks],
            nested.piece if nested else None,
        )
        results: list[SearchResult | None] = list(enough.values())
        if self._tracks is not None:  # what was searched for was not the tracks together
            results = [None] * len(blocks)
        missing = [row for row, result in enumerate(results) if result is None]
        costs = [cost(request) for request in requests]
        usual = [row for row in missing if costs[row] == 1]
        dear = [[row] for row in missing if costs[row] > 1]
        for group in (usual, *dear):
            self._search_rows(scheme_id, requests, fused.embeddings, group, results)
        for row, (block, result) in enumerate(zip(blocks, results, strict=True)):
            assert result is not None
            if result.went_deep:
                self._deep_searches.note(block.request.id.edge_id)
            name, result = self._piecewise.scaled(
                scheme_id, fused.embeddings[row], result, policy.schemes
            )
            ranked = [(match.subject, match.score) for match in result.matches]
            decision = decide(ranked, name, fused.snrs_db[row], policy)
            undecided = calibrated_for(policy, self._bundle.scheme_ids, name)
            write_answer(
                block.response, block.request, result, decision, fused.frames[row], undecided
            )

    def _search_rows(
        self,
        scheme_id: str,
        requests: Sequence[Request],
        embeddings: NDArray[np.float32],
        rows: list[int],
        results: list[SearchResult | None],
    ) -> None:
        """Searches for some of the rows together, and puts their results in place."""
        if not rows:
            return
        whole = len(rows) == len(requests)
        outcomes = self._gallery.search(
            scheme_id,
            embeddings if whole else embeddings[rows],
            depth_of([requests[row] for row in rows]),
            max(requests[row].top_entries for row in rows),
        )
        for row, outcome in zip(rows, outcomes, strict=True):
            results[row] = outcome
