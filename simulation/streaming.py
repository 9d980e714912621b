"""Queries streamed over the processes, whole or piece by piece, with what came back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.client import ChannelClient
from airreid.digital.piece_replay import replay_coded_pieces
from airreid.digital.scheme import DigitalScheme
from airreid.errors import LinkError
from airreid.link_report import REPORT_BITS, ReportedLink
from airreid.nested.pieces import cut
from airreid.nested.replay import ReplayedPieces, replay_pieces
from airreid.nested.sending import PieceSender
from airreid.nested.stopping import FEEDBACK_BITS
from airreid.noise import NoiseStream
from airreid.payload import Analog, Coded, Link, Payload
from airreid.scheme import Scheme, piece_of
from airreid.scheme_info import DigitalInfo, NestedInfo, SchemeInfo
from airreid.uplink_client import Uplink
from airreid.v1 import common_pb2, uplink_pb2
from edge.blocks import BlockMaker
from edge.encoder import Encoder
from simulation.people import People
from simulation.plan import SimulationPlan, SimulationProgress, Way


@dataclass
class SweepContext:
    """The parts of a sweep: the camera, the radio's settings and the way there."""

    encoder: Encoder
    people: People
    plan: SimulationPlan
    progress: SimulationProgress
    control: ChannelClient
    uplink: Uplink
    positions: dict[int, int]
    """Entry number -> position in ``people.gallery``."""


@dataclass
class StreamResult:
    """The answers to one pass over the queries."""

    order: NDArray[np.int64]
    latencies: list[float]
    outages: int
    seconds: float
    uses: NDArray[np.int64] | None = None
    """(Q,): channel uses heard of queries that went out piece by piece."""
    downlink_bits: int = 0
    """Bits that asked for more pieces, or reported on the link."""


def way_of(info: SchemeInfo, link: Link, bandwidth: str | None) -> Way | None:
    """Returns the way that a bandwidth of the plan sends a scheme; None: not at all."""
    if isinstance(info, NestedInfo):
        if bandwidth == "auto":
            return "pieces"
        return "report" if bandwidth == "report" else "whole"
    if isinstance(info, DigitalInfo) and link == "coded":
        if bandwidth == "auto":
            return "pieces" if piece_of(info) else None
        if bandwidth == "report":
            return "report"
    return None if bandwidth else "whole"


def cut_to(payloads: list[Payload], bandwidth: str | None) -> list[Payload]:
    """Cuts blocks in pieces to a number of uses; others are as they are."""
    if bandwidth is None or not bandwidth.isdigit():
        return payloads
    return [cut(payload, int(bandwidth)) for payload in payloads]


def stream_queries(
    context: SweepContext,
    maker: BlockMaker,
    scheme_id: str,
    link: Link,
    features: NDArray[np.float32],
    bandwidth: str | None,
) -> StreamResult:
    """Streams every query once, encoded on its way, and collects the complete rankings."""
    first, size = maker.next_sequence, len(context.people.gallery)

    def blocks() -> Iterator[uplink_pb2.QueryRequest]:
        for feature in features:
            payloads = context.encoder.payloads(feature[None], scheme_id, link)
            [payload] = cut_to(payloads, bandwidth)
            yield maker.block(payload, scheme_id, top_k=5, top_entries=size)

    return Collector(context, first, len(features)).collect(blocks())


def sweep_in_pieces(
    context: SweepContext,
    maker: BlockMaker,
    scheme: Scheme,
    payloads: Sequence[Payload],
    gallery: NDArray[np.float32],
    snr_db: float,
    stream: NoiseStream,
) -> tuple[StreamResult, ReplayedPieces]:
    """Streams every query piece by piece, and computes the same again without processes."""
    first, size = maker.next_sequence, len(context.people.gallery)
    blocks = []
    for payload in payloads:
        block = maker.block(payload, scheme.info.id, top_k=5, top_entries=size)
        block.more_available = True
        blocks.append(block)
    sender = _InPieces(blocks)
    collector = Collector(context, first, len(payloads), sender)
    streamed = collector.collect(sender.messages())
    stopping = context.plan.stopping
    if isinstance(scheme, DigitalScheme):
        coded = [payload for payload in payloads if isinstance(payload, Coded)]
        return streamed, replay_coded_pieces(
            scheme, stopping, coded, gallery, snr_db, stream, first
        )
    assert isinstance(scheme.info, NestedInfo)
    whole = [payload for payload in payloads if isinstance(payload, Analog)]
    identity = context.people.labels()[0].identity
    return streamed, replay_pieces(
        scheme.info, stopping, whole, gallery, identity, snr_db, stream, first
    )


class _InPieces:
    """Blocks that go out in turn, and the pieces that are asked for before the next one.

    Every block begins with one piece, whatever is advised: so that it can be computed again.
    """

    def __init__(self, blocks: Sequence[uplink_pb2.QueryRequest]) -> None:
        self._waiting = list(reversed(blocks))
        self._unanswered = len(blocks)
        self._pieces = PieceSender()
        self._changed = threading.Condition()

    def messages(self) -> Iterator[uplink_pb2.QueryRequest]:
        """Yields messages until every block has its answer."""
        while (message := self._next()) is not None:
            yield message

    def _next(self) -> uplink_pb2.QueryRequest | None:
        with self._changed:
            while self._unanswered:
                if (message := self._pieces.next()) is not None:
                    return message
                if self._waiting:
                    return self._pieces.begin(self._waiting.pop())
                self._changed.wait()
        return None

    def answered(self, response: uplink_pb2.QueryResponse) -> float | None:
        """Takes a response in; the time from first piece to answer in ms, None if it is none."""
        with self._changed:
            answer = self._pieces.heard(response)
            seconds = self._pieces.ended(response.id.sequence) if answer else None
            self._unanswered -= int(answer)
            self._changed.notify()
        return None if seconds is None else seconds * 1e3

    def stop(self) -> None:
        """Ends the messages: the stream is over."""
        with self._changed:
            self._unanswered = 0
            self._changed.notify()


class Collector:
    """Answers of one pass, put in the order of the queries."""

    def __init__(
        self,
        context: SweepContext,
        first: int,
        count: int,
        sender: _InPieces | None = None,
        link: ReportedLink | None = None,
    ) -> None:
        """``sender``: blocks that go out piece by piece. ``link``: told what answers say of it."""
        self._context, self._first, self._sender, self._link = context, first, sender, link
        order = np.full((count, len(context.people.gallery)), -1, dtype=np.int64)
        self._result = StreamResult(order, [], 0, 0.0)
        if sender is not None:
            self._result.uses = np.zeros(count, np.int64)

    def collect(self, blocks: Iterator[uplink_pb2.QueryRequest]) -> StreamResult:
        """Streams blocks and waits for an answer to each. Raises :class:`LinkError`."""
        result, started = self._result, time.perf_counter()
        try:
            for answer in self._context.uplink.query(blocks, self._context.plan.window):
                self._take(answer.response, answer.latency_ms)
        finally:
            if self._sender is not None:
                self._sender.stop()
        result.seconds = time.perf_counter() - started
        if len(result.latencies) != len(result.order):
            missing = len(result.order) - len(result.latencies)
            raise LinkError(f"{missing} of {len(result.order)} queries were never answered")
        return result

    def _take(self, response: uplink_pb2.QueryResponse, latency_ms: float) -> None:
        result, context = self._result, self._context
        row = response.id.sequence - self._first
        if self._link is not None:
            self._link.heard(response)
            result.downlink_bits += REPORT_BITS * response.HasField("link_report")
        if self._sender is not None:
            whole_ms = self._sender.answered(response)
            if whole_ms is None:
                result.downlink_bits += FEEDBACK_BITS
                return
            latency_ms = whole_ms
            assert result.uses is not None
            result.uses[row] = response.uses_heard
        result.latencies.append(latency_ms)
        context.progress.step()
        if response.outage:
            result.outages += 1
        elif response.status.code != common_pb2.CODE_OK:
            raise LinkError(f"{context.people.queries[row].path}: {response.status.message}")
        else:
            result.order[row] = [context.positions[entry] for entry in response.entry_ids]
