"""Enrol a gallery, stream queries at every scheme and SNR, and measure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import Bundle
from airreid.client import ChannelClient, GalleryClient, ok
from airreid.errors import InputError, LinkError
from airreid.images import load, read
from airreid.inference import SchemeRunner
from airreid.metrics import cosine, evaluate_ranking, rank
from airreid.noise import NoiseStream
from airreid.offline import replay, same_ranking
from airreid.v1 import common_pb2, gallery_pb2, uplink_pb2
from edge.blocks import BlockMaker
from edge.encoder import Encoder
from edge.uplink import Uplink
from simulation.people import People
from simulation.processes import Role

EDGE_ID = "cam-1"
TIE = 1e-5
"""Scores closer than this may rank either way: FAISS adds in float32, the replay in float64."""


@dataclass(frozen=True)
class Point:
    """One scheme at one SNR."""

    scheme: str
    bandwidth: int
    link: str
    snr_db: float
    queries: int
    top1: float
    top5: float
    map: float
    outage_rate: float
    latency_ms_p50: float
    latency_ms_p99: float
    queries_per_second: float
    first_sequence: int
    replay_identical: int
    """Queries whose complete ranking the offline replay reproduces."""


@dataclass
class Outcome:
    """Everything that a run found."""

    points: list[Point]
    noiseless_top1: float
    """Top-1 of the features themselves: no code, no channel."""
    encode_ms_p50: float
    """Decoding, resizing and running the backbone on one query image."""
    rankings: dict[tuple[str, float], NDArray[np.int64]]
    """Per scheme and SNR, the gallery's positions for each query, best first."""


@dataclass(frozen=True)
class Plan:
    """What to run."""

    schemes: tuple[str, ...]
    snrs_db: tuple[float, ...]
    seed: int
    window: int
    threads: int


class Progress:
    """What a run reports while it goes on; every method may be overridden."""

    def phase(self, name: str, steps: int) -> None:
        """A phase of so many steps begins."""

    def step(self) -> None:
        """One step is done."""

    def point(self, point: Point) -> None:
        """A row of the table is complete."""


def run(bundle: Bundle, people: People, plan: Plan, progress: Progress) -> Outcome:
    """Runs the plan over real processes on loopback ports.

    Raises :class:`InputError` for images that cannot be used and :class:`LinkError`
    when a process or a stream breaks.
    """
    encoder = Encoder(bundle, plan.threads)
    gallery_features, _ = _features(encoder, people, False, progress)
    query_features, encode_ms = _features(encoder, people, True, progress)
    labels = people.labels()
    noiseless = evaluate_ranking(
        rank(cosine(query_features, gallery_features)), labels[1], labels[0]
    )
    if noiseless.queries == 0:
        raise InputError(
            f"{people.name}: no query has its identity in the gallery by another camera"
        )
    outcome = Outcome([], noiseless.top1, float(np.median(encode_ms)), {})
    loopback = "127.0.0.1:0"
    with TemporaryDirectory(prefix="airreid-") as data:
        ap_arguments = ["ap", "serve", "--data-dir", data, "--grpc", loopback, "--http", loopback]
        with Role(
            "access point",
            [*ap_arguments, "--bundle", str(bundle.path), "--threads", str(plan.threads)],
        ) as ap:
            ap_target = f"127.0.0.1:{ap.ready['grpc_port']}"
            positions = _enrol(ap_target, people, progress)
            channel_arguments = ["channel", "serve", "--listen", loopback, "--upstream", ap_target]
            with Role("channel", channel_arguments) as channel:
                target = f"127.0.0.1:{channel.ready['grpc_port']}"
                with ChannelClient(target) as control, Uplink(target) as uplink:
                    _sweep(
                        _Bench(encoder, people, plan, progress, control, uplink, positions),
                        gallery_features,
                        query_features,
                        outcome,
                    )
    return outcome


def _features(
    encoder: Encoder, people: People, queries: bool, progress: Progress
) -> tuple[NDArray[np.float32], list[float]]:
    crops = people.queries if queries else people.gallery
    progress.phase("encoding queries" if queries else "encoding gallery", len(crops))
    features, times = [], []
    for crop in crops:
        started = time.perf_counter()
        features.append(encoder.features([load(crop.path)])[0])
        times.append((time.perf_counter() - started) * 1e3)
        progress.step()
    return np.stack(features), times


def _enrol(target: str, people: People, progress: Progress) -> dict[int, int]:
    """Enrols the gallery's images; entry number -> position in ``people.gallery``."""
    progress.phase("enrolling", len(people.gallery))

    def items() -> Iterator[gallery_pb2.EnrollItem]:
        for crop in people.gallery:
            yield gallery_pb2.EnrollItem(
                subject=crop.identity, camera=crop.camera, image=read(crop.path)
            )

    positions = {}
    with GalleryClient(target) as client:
        for position, (_, result) in enumerate(client.enrol(items())):
            if not ok(result.status):
                raise InputError(f"{people.gallery[position].path}: {result.status.message}")
            positions[result.entry_id] = position
            progress.step()
    return positions


@dataclass
class _Bench:
    encoder: Encoder
    people: People
    plan: Plan
    progress: Progress
    control: ChannelClient
    uplink: Uplink
    positions: dict[int, int]


def _sweep(
    bench: _Bench,
    gallery_features: NDArray[np.float32],
    query_features: NDArray[np.float32],
    outcome: Outcome,
) -> None:
    plan, bundle = bench.plan, bench.encoder.bundle
    maker = BlockMaker(EDGE_ID, bundle.bundle_id)
    total = len(plan.schemes) * len(plan.snrs_db) * len(query_features)
    bench.progress.phase("streaming queries", total)
    stream = NoiseStream(plan.seed, EDGE_ID)
    gallery_labels, query_labels = bench.people.labels()
    for scheme_id in plan.schemes:
        info = bundle.scheme(scheme_id)
        runner = SchemeRunner(bundle, info, plan.threads)
        for snr_db in plan.snrs_db:
            bench.control.set_link(snr_db, plan.seed)
            first = maker.next_sequence
            flight = _fly(bench, maker, scheme_id, query_features)
            order = flight.order
            expected, scores = replay(
                runner, gallery_features, query_features, snr_db, stream, first
            )
            found = evaluate_ranking(order, query_labels, gallery_labels)
            agree = same_ranking(order, expected, scores, TIE)
            counted = ~np.isnan(found.first_hit)
            point = Point(
                scheme=scheme_id,
                bandwidth=info.bandwidth,
                link="analog",
                snr_db=snr_db,
                queries=found.queries,
                top1=found.top1,
                top5=found.top5,
                map=found.mean_ap,
                outage_rate=flight.outages / len(query_features),
                latency_ms_p50=float(np.percentile(flight.latencies, 50)),
                latency_ms_p99=float(np.percentile(flight.latencies, 99)),
                queries_per_second=len(query_features) / flight.seconds,
                first_sequence=first,
                replay_identical=int((agree & counted).sum()),
            )
            outcome.points.append(point)
            outcome.rankings[scheme_id, snr_db] = order
            bench.progress.point(point)


@dataclass
class _Flight:
    order: NDArray[np.int64]
    latencies: list[float]
    outages: int
    seconds: float


def _fly(
    bench: _Bench, maker: BlockMaker, scheme_id: str, features: NDArray[np.float32]
) -> _Flight:
    """Streams every query once and collects the complete rankings."""
    first, size = maker.next_sequence, len(bench.people.gallery)

    def blocks() -> Iterator[uplink_pb2.QueryRequest]:
        for feature in features:
            symbols = bench.encoder.symbols(feature[None], scheme_id)[0]
            yield maker.block(symbols, scheme_id, top_k=5, top_entries=size)

    order = np.full((len(features), size), -1, dtype=np.int64)
    flight = _Flight(order, [], 0, 0.0)
    started = time.perf_counter()
    for answer in bench.uplink.query(blocks(), bench.plan.window):
        response = answer.response
        row = response.id.sequence - first
        flight.latencies.append(answer.latency_ms)
        bench.progress.step()
        if response.outage:
            flight.outages += 1
        elif response.status.code != common_pb2.CODE_OK:
            raise LinkError(f"{bench.people.queries[row].path}: {response.status.message}")
        else:
            order[row] = [bench.positions[entry] for entry in response.entry_ids]
    flight.seconds = time.perf_counter() - started
    if len(flight.latencies) != len(features):
        missing = len(features) - len(flight.latencies)
        raise LinkError(f"{missing} of {len(features)} queries were never answered")
    return flight
