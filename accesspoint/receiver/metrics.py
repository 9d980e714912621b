"""Metrics of the receiver, for Prometheus; never by subject or camera."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from airreid.link_report import REPORT_BITS
from airreid.nested.stopping import FEEDBACK_BITS
from airreid.v1 import common_pb2, uplink_pb2

_USES = (16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048)
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0)


def code_name(number: common_pb2.Code.ValueType) -> str:
    """Returns a status code's name without its prefix: ok, outage, wrong_bundle."""
    return common_pb2.Code.Name(number).removeprefix("CODE_").lower()


class ReceiverMetrics:
    """Counters since the start of the process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "airreid_ap_uplink_answers",
            "Blocks answered, by scheme, link and status; a block that came again is not "
            "counted here.",
            ["scheme", "link", "code"],
            registry=registry,
        )
        self._labelled: dict[tuple[str, str, int], Counter] = {}
        """Counters of answers by scheme, link and code, as many as :attr:`_answers` has."""
        self.repeated = Counter(
            "airreid_ap_uplink_repeated",
            "Blocks that came again and got the answer that the first one had.",
            registry=registry,
        )
        self._more_wanted = Counter(
            "airreid_ap_uplink_more_wanted",
            "Times that more pieces of a block were asked for.",
            registry=registry,
        )
        self._downlink_bits = Counter(
            "airreid_ap_uplink_downlink_bits",
            f"Bits of words on more pieces, {FEEDBACK_BITS} each: which block, and how many "
            f"pieces; and of reports on a camera's link, {REPORT_BITS} each.",
            registry=registry,
        )
        self._uses = Histogram(
            "airreid_ap_uplink_uses",
            "Channel uses of a block that came in pieces until it was answered.",
            buckets=_USES,
            registry=registry,
        )
        self.refused_streams = Counter(
            "airreid_ap_uplink_refused_streams",
            "Streams refused because there were too many.",
            registry=registry,
        )
        self._truth = Counter(
            "airreid_ap_uplink_known",
            "Answers to blocks whose truth is known: the first rank right or wrong, and the "
            "decision right, wrong or withheld.",
            ["what", "outcome"],
            registry=registry,
        )
        self._queue = Histogram(
            "airreid_ap_uplink_queue_seconds",
            "From reading a block until its batch began.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._decode = Histogram(
            "airreid_ap_uplink_decode_seconds",
            "To decode the batch that a block was in.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._search = Histogram(
            "airreid_ap_uplink_search_seconds",
            "To search for the batch that a block was in.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._registry = registry

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Adds a figure that is read at each scrape."""
        gauge = Gauge(f"airreid_ap_uplink_{name}", text, registry=self._registry)
        gauge.set_function(value)

    def answered(self, scheme: str, response: uplink_pb2.QueryResponse) -> None:
        """Counts an answer. ``scheme`` must be one of the bundle's, or empty."""
        code = response.status.code
        self._answers_of(scheme, response.link, code).inc()
        if code in (common_pb2.CODE_OK, common_pb2.CODE_OUTAGE):
            self._queue.observe(response.timings.queue_ms / 1e3)
            self._decode.observe(response.timings.decode_ms / 1e3)
            self._search.observe(response.timings.search_ms / 1e3)
            if response.uses_heard:
                self._uses.observe(response.uses_heard)
            if response.HasField("link_report"):
                self._downlink_bits.inc(REPORT_BITS)

    def _answers_of(self, scheme: str, link: str, code: common_pb2.Code.ValueType) -> Counter:
        """Returns the counter of these labels; looking it up costs more than counting."""
        counter = self._labelled.get((scheme, link, code))
        if counter is None:
            counter = self._answers.labels(scheme, link, code_name(code))
            self._labelled[scheme, link, code] = counter
        return counter

    def asked(self) -> None:
        """Counts a block that more is wanted of."""
        self._more_wanted.inc()
        self._downlink_bits.inc(FEEDBACK_BITS)

    def known(self, truth: str, response: uplink_pb2.QueryResponse) -> None:
        """Counts how an answer compares with the truth."""
        right = bool(response.identities) and response.identities[0].subject == truth
        self._truth.labels("rank1", "right" if right else "wrong").inc()
        kind = response.decision.kind
        if kind == common_pb2.DECISION_MATCH:
            right = response.decision.subject == truth
            self._truth.labels("decision", "right" if right else "wrong").inc()
        elif kind != common_pb2.DECISION_UNSPECIFIED:
            self._truth.labels("decision", "withheld").inc()
