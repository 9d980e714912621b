"""Streams every query over every scheme, link and SNR, and checks the answers' worth."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.client import ChannelClient
from airreid.errors import LinkError
from airreid.noise import NoiseStream
from airreid.offline import Replayed, pack_each, replay_payloads, same_ranking
from airreid.payload import Link
from airreid.retrieval import evaluate_ranking
from airreid.scheme import BlockCost, Scheme, links_of
from airreid.scheme_kinds import open_scheme
from airreid.signal import capacity
from airreid.uplink_client import Uplink
from airreid.v1 import common_pb2, uplink_pb2
from edge.blocks import BlockMaker
from edge.encoder import Encoder
from simulation.people import People
from simulation.plan import EDGE_ID, TIE, Outcome, Plan, Point, Progress

Features = NDArray[np.float32]


@dataclass
class Bench:
    """What a sweep works with: the camera, the radio's settings and the way there."""

    encoder: Encoder
    people: People
    plan: Plan
    progress: Progress
    control: ChannelClient
    uplink: Uplink
    positions: dict[int, int]
    """Entry number -> position in ``people.gallery``."""


def pairs(bench: Bench) -> list[tuple[str, Link]]:
    """Every scheme of the plan with every link it is to be sent over."""
    bundle, wanted = bench.encoder.bundle, ("analog", *bench.plan.links)
    return [
        (scheme_id, link)
        for scheme_id in bench.plan.schemes
        for link in links_of(bundle.scheme(scheme_id))
        if link in wanted
    ]


def sweep(bench: Bench, gallery: Features, queries: Features, outcome: Outcome) -> None:
    """Adds a point for every scheme, link and SNR. Raises :class:`LinkError`."""
    plan, bundle = bench.plan, bench.encoder.bundle
    maker = BlockMaker(EDGE_ID, bundle.bundle_id)
    todo = pairs(bench)
    bench.progress.phase("streaming queries", len(todo) * len(plan.snrs_db) * len(queries))
    stream = NoiseStream(plan.seed, EDGE_ID)
    for scheme_id, link in todo:
        scheme = open_scheme(bundle, bundle.scheme(scheme_id), plan.threads)
        payloads, embeddings = pack_each(scheme, link, queries), scheme.gallery(gallery)
        costs = [scheme.cost(payload) for payload in payloads]
        for snr_db in plan.snrs_db:
            bench.control.set_link(snr_db, plan.seed)
            first = maker.next_sequence
            flight = _fly(bench, maker, scheme_id, link, queries)
            expected = replay_payloads(scheme, payloads, embeddings, snr_db, stream, first)
            point = _point(bench.people, scheme, link, snr_db, first, flight, expected, costs)
            outcome.points.append(point)
            outcome.rankings[scheme_id, link, snr_db] = flight.order
            bench.progress.point(point)


@dataclass
class _Flight:
    order: NDArray[np.int64]
    latencies: list[float]
    outages: int
    seconds: float


def _point(
    people: People,
    scheme: Scheme,
    link: Link,
    snr_db: float,
    first: int,
    flight: _Flight,
    expected: Replayed,
    costs: list[BlockCost],
) -> Point:
    gallery_labels, query_labels = people.labels()
    found = evaluate_ranking(flight.order, query_labels, gallery_labels)
    agree = same_ranking(flight.order, expected.order, expected.scores, TIE)
    counted = ~np.isnan(found.first_hit)
    return Point(
        scheme=scheme.info.id,
        bandwidth=scheme.info.bandwidth,
        link=link,
        snr_db=snr_db,
        queries=found.queries,
        top1=found.top1,
        top5=found.top5,
        map=found.mean_ap,
        outage_rate=flight.outages / len(flight.order),
        payload_bits=_mean_bits(costs),
        crc_bits=costs[0].crc_bits,
        side_bits=costs[0].side_bits,
        side_uses=round(costs[0].side_bits / float(capacity(snr_db)), 2),
        latency_ms_p50=float(np.percentile(flight.latencies, 50)),
        latency_ms_p99=float(np.percentile(flight.latencies, 99)),
        queries_per_second=len(flight.order) / flight.seconds,
        first_sequence=first,
        replay_identical=int((agree & counted).sum()),
    )


def _mean_bits(costs: list[BlockCost]) -> float:
    return round(float(np.mean([cost.payload_bits for cost in costs])), 2)


def _fly(
    bench: Bench, maker: BlockMaker, scheme_id: str, link: Link, features: Features
) -> _Flight:
    """Streams every query once and collects the complete rankings."""
    first, size = maker.next_sequence, len(bench.people.gallery)

    def blocks() -> Iterator[uplink_pb2.QueryRequest]:
        for feature in features:
            [payload] = bench.encoder.payloads(feature[None], scheme_id, link)
            yield maker.block(payload, scheme_id, top_k=5, top_entries=size)

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
