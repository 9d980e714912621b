"""Metrics for Prometheus: counts, sizes and times, never a subject.

Every instance has a registry of its own, so that several access points in one process do
not meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Metrics of the access point; safe in any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.requests = Histogram(
            "airreid_ap_request_seconds",
            "Time of HTTP and gRPC requests, by interface, operation and code.",
            ("interface", "operation", "code"),
            buckets=_SECONDS,
            registry=r,
        )
        self.enrolled = Counter(
            "airreid_ap_enrolments",
            "Items offered for enrolment, by outcome.",
            ("code",),
            registry=r,
        )
        self.deleted = Counter("airreid_ap_deleted_entries", "Entries deleted.", registry=r)
        self.rejected = Counter(
            "airreid_ap_rejected_logins", "Calls without a valid token or certificate.", registry=r
        )

    def describe(self, **labels: str) -> None:
        """Adds a gauge that is always 1 and says in its labels what is served."""
        gauge = Gauge("airreid_ap_info", "What is served.", tuple(labels), registry=self.registry)
        gauge.labels(*labels.values()).set(1)

    def gauges(self, read: Callable[[], Mapping[str, float]]) -> None:
        """Adds gauges, name to value, that are read at every scrape."""
        self.registry.register(_Gauges(read))

    def text(self) -> bytes:
        """Returns everything in Prometheus' text format."""
        return generate_latest(self.registry)


class _Gauges(Collector):
    """Gauges that are read at every scrape."""

    def __init__(self, read: Callable[[], Mapping[str, float]]) -> None:
        self._read = read

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())  # nothing is asked while the registry is being filled

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, value in self._read().items():
            yield GaugeMetricFamily(f"airreid_ap_{name}", name.replace("_", " "), value=value)
