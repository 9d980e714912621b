"""Streams every query over every scheme, link and SNR, and checks the answers' worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.client import ChannelClient
from airreid.evaluation.interval import rate_interval
from airreid.nested.replay import ReplayedPieces
from airreid.nested.stopping import FEEDBACK_BITS
from airreid.noise import NoiseStream
from airreid.offline import Replayed, pack_each, replay_payloads, same_ranking
from airreid.payload import Link
from airreid.retrieval import evaluate_ranking
from airreid.scheme import BlockCost, Scheme, links_of
from airreid.scheme_kinds import open_scheme
from airreid.signal import capacity
from airreid.uplink_client import Uplink
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
    first_block,
)
from simulation.streaming import StreamResult, cut, in_pieces, stream_queries, sweep_in_pieces

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
    pairs = scheme_link_pairs(context)
    context.progress.phase("streaming queries", len(pairs) * len(plan.snrs_db) * len(queries))
    stream = NoiseStream(plan.seed, EDGE_ID)
    for scheme_id, link in pairs:
        scheme = open_scheme(bundle, bundle.scheme(scheme_id), plan.threads)
        payloads, embeddings = pack_each(scheme, link, queries), scheme.gallery(gallery)
        payloads = cut(payloads, plan.bandwidth)
        costs = [scheme.cost(payload) for payload in payloads]
        for snr_db in plan.snrs_db:
            context.control.set_link(snr_db, plan.seed)
            first = first_block(snr_db)
            # A spool of its own: the numbers come again, and are not the same blocks again.
            maker = BlockMaker(EDGE_ID, bundle.bundle_id, next_sequence=first)
            streamed: StreamResult
            expected: Replayed
            if in_pieces(scheme.info, plan):
                streamed, expected = sweep_in_pieces(
                    context, maker, scheme.info, payloads, embeddings, snr_db, stream
                )
            else:
                streamed = stream_queries(context, maker, scheme_id, link, queries)
                expected = replay_payloads(scheme, payloads, embeddings, snr_db, stream, first)
            point = _point(context.people, scheme, link, snr_db, first, streamed, expected, costs)
            result.points.append(point)
            result.rankings[scheme_id, link, snr_db] = streamed.order
            context.progress.point(point)


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
    uses = np.array([cost.uses for cost in costs], np.float64)
    if streamed.uses is not None and isinstance(expected, ReplayedPieces):
        agree &= streamed.uses == expected.uses
        uses = streamed.uses.astype(np.float64)
    counted = ~np.isnan(accuracy.first_hit)
    low, high = rate_interval(accuracy.first_hit[counted] == 0, query_labels.identity[counted])
    return SweepPoint(
        scheme=scheme.info.id,
        bandwidth=costs[0].uses if costs[0].uses else scheme.info.bandwidth,
        link=link,
        snr_db=snr_db,
        queries=accuracy.queries,
        top1=accuracy.top1,
        top1_low=round(low, 5),
        top1_high=round(high, 5),
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
        uses_mean=round(float(uses.mean()), 2),
        uses_p95=float(np.percentile(uses, 95)),
        downlink_bits=round(FEEDBACK_BITS * streamed.words / len(streamed.order), 3),
    )


def _mean_bits(costs: list[BlockCost]) -> float:
    return round(float(np.mean([cost.payload_bits for cost in costs])), 2)
