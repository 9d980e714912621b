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
from simulation.plan import (
    EDGE_ID,
    TIE,
    SimulationPlan,
    SimulationProgress,
    SimulationResult,
    SweepPoint,
)

Features = NDArray[np.float32]


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


def scheme_link_pairs(context: SweepContext) -> list[tuple[str, Link]]:
    """Lists every scheme of the plan with every link it is to be sent over."""
    bundle, wanted = context.encoder.bundle, ("analog", *context.plan.links)
    return [
        (scheme_id, link)
        for scheme_id in context.plan.schemes
        for link in links_of(bundle.scheme(scheme_id))
        if link in wanted
    ]


def sweep(
    context: SweepContext, gallery: Features, queries: Features, result: SimulationResult
) -> None:
    """Adds a point for every scheme, link and SNR. Raises :class:`LinkError`."""
    plan, bundle = context.plan, context.encoder.bundle
    maker = BlockMaker(EDGE_ID, bundle.bundle_id)
    pairs = scheme_link_pairs(context)
    context.progress.phase("streaming queries", len(pairs) * len(plan.snrs_db) * len(queries))
    stream = NoiseStream(plan.seed, EDGE_ID)
    for scheme_id, link in pairs:
        scheme = open_scheme(bundle, bundle.scheme(scheme_id), plan.threads)
        payloads, embeddings = pack_each(scheme, link, queries), scheme.gallery(gallery)
        costs = [scheme.cost(payload) for payload in payloads]
        for snr_db in plan.snrs_db:
            context.control.set_link(snr_db, plan.seed)
            first = maker.next_sequence
            streamed = stream_queries(context, maker, scheme_id, link, queries)
            expected = replay_payloads(scheme, payloads, embeddings, snr_db, stream, first)
            point = _point(context.people, scheme, link, snr_db, first, streamed, expected, costs)
            result.points.append(point)
            result.rankings[scheme_id, link, snr_db] = streamed.order
            context.progress.point(point)


@dataclass
class StreamResult:
    """The answers to one pass over the queries."""

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
    streamed: StreamResult,
    expected: Replayed,
    costs: list[BlockCost],
) -> SweepPoint:
    gallery_labels, query_labels = people.labels()
    accuracy = evaluate_ranking(streamed.order, query_labels, gallery_labels)
    agree = same_ranking(streamed.order, expected.order, expected.scores, TIE)
    counted = ~np.isnan(accuracy.first_hit)
    return SweepPoint(
        scheme=scheme.info.id,
        bandwidth=scheme.info.bandwidth,
        link=link,
        snr_db=snr_db,
        queries=accuracy.queries,
        top1=accuracy.top1,
        top5=accuracy.top5,
        map=accuracy.mean_ap,
        outage_rate=streamed.outages / len(streamed.order),
        payload_bits=_mean_bits(costs),
        crc_bits=costs[0].crc_bits,
        side_bits=costs[0].side_bits,
        side_uses=round(costs[0].side_bits / float(capacity(snr_db)), 2),
        latency_ms_p50=float(np.percentile(streamed.latencies, 50)),
        latency_ms_p99=float(np.percentile(streamed.latencies, 99)),
        queries_per_second=len(streamed.order) / streamed.seconds,
        first_sequence=first,
        replay_identical=int((agree & counted).sum()),
    )


def _mean_bits(costs: list[BlockCost]) -> float:
    return round(float(np.mean([cost.payload_bits for cost in costs])), 2)


def stream_queries(
    context: SweepContext, maker: BlockMaker, scheme_id: str, link: Link, features: Features
) -> StreamResult:
    """Streams every query once and collects the complete rankings."""
    first, size = maker.next_sequence, len(context.people.gallery)

    def blocks() -> Iterator[uplink_pb2.QueryRequest]:
        for feature in features:
            [payload] = context.encoder.payloads(feature[None], scheme_id, link)
            yield maker.block(payload, scheme_id, top_k=5, top_entries=size)

    order = np.full((len(features), size), -1, dtype=np.int64)
    streamed = StreamResult(order, [], 0, 0.0)
    started = time.perf_counter()
    for answer in context.uplink.query(blocks(), context.plan.window):
        response = answer.response
        row = response.id.sequence - first
        streamed.latencies.append(answer.latency_ms)
        context.progress.step()
        if response.outage:
            streamed.outages += 1
        elif response.status.code != common_pb2.CODE_OK:
            raise LinkError(f"{context.people.queries[row].path}: {response.status.message}")
        else:
            order[row] = [context.positions[entry] for entry in response.entry_ids]
    streamed.seconds = time.perf_counter() - started
    if len(streamed.latencies) != len(features):
        missing = len(features) - len(streamed.latencies)
        raise LinkError(f"{missing} of {len(features)} queries were never answered")
    return streamed
