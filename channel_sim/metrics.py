"""The channel's sums for Prometheus, read when it asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from airreid.addresses import parse_address
from airreid.errors import InputError
from airreid.metrics_server import MetricsServer
from channel_sim.stats import LinkStats, Stats

_COUNTERS = {
    "blocks": "Blocks that came from the edge",
    "packets": "Ideal packets among the blocks",
    "lost": "Ideal packets that the channel lost",
    "unusable": "Blocks without float32 values, or with values that are not finite",
    "uses": "Real channel uses that were measured",
    "erased": "Real channel uses that were erased",
    "impulses": "Real channel uses that an impulse hit",
}


class LinkCollector(Collector):
    """Collector with a label value for each link that :class:`Stats` counts by name, and one
    for the rest: no more than ``stats.LINKS_MAX + 1``."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        links: list[tuple[str, LinkStats]] = self._stats.items()
        for name, what in _COUNTERS.items():
            counter = CounterMetricFamily(f"airreid_channel_{name}", what, labels=["link"])
            for link, sums in links:
                counter.add_metric([link], getattr(sums, name))
            yield counter
        snr = GaugeMetricFamily(
            "airreid_channel_measured_snr_db",
            "Signal over noise energy at the antenna since the start, in dB",
            labels=["link"],
        )
        gain = GaugeMetricFamily(
            "airreid_channel_mean_gain", "Mean of |h|^2 since the start", labels=["link"]
        )
        for link, sums in links:
            if sums.measured_snr_db is not None:
                snr.add_metric([link], sums.measured_snr_db)
            if sums.faded:
                gain.add_metric([link], sums.mean_gain)
        yield snr
        yield gain
        yield CounterMetricFamily(
            "airreid_channel_upstream_errors",
            "Streams that broke because the access point could not be reached or failed",
            self._stats.upstream_errors,
        )
        yield GaugeMetricFamily(
            "airreid_channel_streams", "Streams of edges that are open", self._stats.streams
        )


@contextmanager
def serve_metrics(listen: str, stats: Stats) -> Iterator[int]:
    """Answers Prometheus on ``listen`` (HOST:PORT) from a thread; yields the bound port.

    Raises :class:`InputError` when the address cannot be bound.
    """
    address = parse_address(listen)
    registry = CollectorRegistry()
    registry.register(LinkCollector(stats))
    try:
        server = MetricsServer(address, registry)
    except OSError as error:
        raise InputError(
            f"cannot serve metrics on {address}: {error.strerror or error}; "
            "choose another --metrics"
        ) from None
    close = server.start()
    try:
        yield int(server.server_port)
    finally:
        close()
