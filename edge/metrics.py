"""Counters of a running edge, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from airreid.addresses import parse_address
from airreid.errors import InputError
from airreid.metrics_server import MetricsServer
from edge.results import Outcome

_ENCODE_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_ANSWER_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0, 300.0)


class Metrics:
    """Counters since the start of the process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.accepted = Counter(
            "airreid_edge_frames_accepted",
            "Frames written to the spool.",
            ["source"],
            registry=self.registry,
        )
        self.answered = Counter(
            "airreid_edge_frames_answered",
            "Frames whose answer is in the log, by its status.",
            ["code"],
            registry=self.registry,
        )
        self.dropped = Counter(
            "airreid_edge_frames_dropped",
            "Frames given up because they were older than the deadline.",
            registry=self.registry,
        )
        self.rejected = Counter(
            "airreid_edge_frames_rejected",
            "Frames that could not be encoded.",
            ["source"],
            registry=self.registry,
        )
        self.refused = Counter(
            "airreid_edge_frames_refused",
            "Times that a frame was not accepted for want of room.",
            ["why"],
            registry=self.registry,
        )
        self.outages = Counter(
            "airreid_edge_outages",
            "Answers that say the air destroyed the block.",
            registry=self.registry,
        )
        self.reconnects = Counter(
            "airreid_edge_reconnects", "Streams opened after the first.", registry=self.registry
        )
        self.up = Gauge(
            "airreid_edge_link_up", "1 while there is a stream.", registry=self.registry
        )
        self.depth = Gauge(
            "airreid_edge_spool_depth",
            "Accepted frames that wait for their answer.",
            registry=self.registry,
        )
        self.encode = Histogram(
            "airreid_edge_encode_seconds",
            "A frame's share of the time its batch took to decode and encode.",
            buckets=_ENCODE_SECONDS,
            registry=self.registry,
        )
        self.answer_time = Histogram(
            "airreid_edge_answer_seconds",
            "From handing a block to the stream until its answer was read.",
            buckets=_ANSWER_SECONDS,
            registry=self.registry,
        )
        self.uses = Counter(
            "airreid_edge_uses",
            "Channel uses of blocks that went out piece by piece, as far as they were heard.",
            registry=self.registry,
        )
        self._streams = 0

    def frame_accepted(self, source: str, encode_seconds: float) -> None:
        """Counts a frame that was written to the spool."""
        self.accepted.labels(source).inc()
        self.encode.observe(encode_seconds)

    def answer(self, outcome: Outcome) -> None:
        """Counts an answer."""
        self.answered.labels(outcome.code).inc()
        self.answer_time.observe(outcome.link_ms / 1e3)
        self.uses.inc(outcome.uses or 0)
        if outcome.outage:
            self.outages.inc()

    def connected(self, up: bool) -> None:
        """Counts a stream that was opened, or broke."""
        self.up.set(float(up))
        if up:
            self._streams += 1
            if self._streams > 1:
                self.reconnects.inc()


def serve(metrics: Metrics, listen: str) -> tuple[int, Callable[[], None]]:
    """Serves ``/metrics`` on HOST:PORT: the bound port, and what ends it.

    Raises :class:`InputError` when the address cannot be bound.
    """
    address = parse_address(listen)
    try:
        server = MetricsServer(address, metrics.registry)
    except OSError as error:
        raise InputError(
            f"cannot listen on {address}: {error.strerror or error}; choose another --metrics"
        ) from None
    return server.server_port, server.start()
