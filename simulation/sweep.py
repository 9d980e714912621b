"""Streams every query over every scheme, link and SNR, and checks the answers' worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.digital.adaptation import rate_ids
from airreid.digital.piece_replay import pack_pieces_each
from airreid.digital.scheme import DigitalScheme
from airreid.evaluation.interval import rate_interval
from airreid.nested.replay import ReplayedPieces
from airreid.noise import NoiseStream
from airreid.offline import Replayed, pack_each, replay_payloads, same_ranking
from airreid.payload import Link, Payload
from airreid.retrieval import evaluate_ranking
from airreid.scheme import BlockCost, Scheme, links_of
from airreid.scheme_info import NestedInfo
from airreid.scheme_kinds import open_scheme
from airreid.signal import capacity
from edge.blocks import BlockMaker
from simulation.adapting import packed_for, sweep_adapted
from simulation.people import People
from simulation.plan import EDGE_ID, TIE, SimulationResult, SweepPoint, Way, first_block
from simulation.streaming import (
    StreamResult,
    SweepContext,
    cut_to,
    stream_queries,
    sweep_in_pieces,
    way_of,
)

Features = NDArray[np.float32]


@dataclass(frozen=True)
class _Row:
    """A row of the plan: a scheme over a link, sent in one way."""

    scheme_id: str
    link: Link
    bandwidth: str | None
    way: Way


def _rows(context: SweepContext) -> Iterator[_Row]:
    """Yields every scheme of the plan with every link and way that it is to be sent.

    Of digital schemes of one bandwidth the first stands for all where reports choose.
    """
    plan, bundle, wanted = context.plan, context.encoder.bundle, ("analog", *context.plan.links)
    chosen: set[tuple[str, ...]] = set()
    for scheme_id in plan.schemes:
        info = bundle.scheme(scheme_id)
        for link in (link for link in links_of(info) if link in wanted):
            nested = isinstance(info, NestedInfo)
            for bandwidth in plan.bandwidths if nested else dict.fromkeys((None, *plan.bandwidths)):
                way = way_of(info, link, bandwidth)
                if way == "pieces" and not (nested or plan.digital_in_pieces):
                    way = None
                if way == "report" and not nested:
                    rates = tuple(rate_ids(bundle, scheme_id))
                    way = None if rates in chosen else way
                    chosen.add(rates)
                if way is not None:
                    yield _Row(scheme_id, link, bandwidth, way)


def sweep(
    context: SweepContext, gallery: Features, queries: Features, result: SimulationResult
) -> None:
    """Adds a point for every scheme, link, way and SNR. Raises :class:`LinkError`."""
    plan, bundle = context.plan, context.encoder.bundle
    rows = list(_rows(context))
    context.progress.phase("streaming queries", len(rows) * len(plan.snrs_db) * len(queries))
    for row in rows:
        scheme = open_scheme(bundle, bundle.scheme(row.scheme_id), plan.threads)
        measure = _measure(context, row, scheme, gallery, queries)
        for snr_db in plan.snrs_db:
            context.control.set_link(snr_db, plan.seed)
            first = first_block(snr_db)
            # A spool of its own: the numbers come again, and are not the same blocks again.
            maker = BlockMaker(EDGE_ID, bundle.bundle_id, next_sequence=first)
            streamed, expected, costs = measure(maker, snr_db)
            point = _point(context.people, scheme, row, snr_db, first, streamed, expected, costs)
            result.points.append(point)
            result.rankings.setdefault((row.scheme_id, row.link, snr_db), streamed.order)
            context.progress.point(point)


Measured = tuple[StreamResult, Replayed, list[BlockCost]]


def _measure(
    context: SweepContext, row: _Row, scheme: Scheme, gallery: Features, queries: Features
) -> Callable[[BlockMaker, float], Measured]:
    """Packs a row's queries; returns what streams and replays them at an SNR."""
    stream = NoiseStream(context.plan.seed, EDGE_ID)
    if row.way == "report":
        packed = packed_for(context, scheme, row.link, queries, gallery)
        return lambda maker, snr_db: sweep_adapted(context, maker, scheme, packed, snr_db, stream)
    embeddings = scheme.gallery(gallery)
    payloads: list[Payload]
    if row.way == "pieces" and isinstance(scheme, DigitalScheme):
        payloads = [*pack_pieces_each(scheme, queries)]
    else:
        payloads = cut_to(pack_each(scheme, row.link, queries), row.bandwidth)
    costs = [scheme.cost(payload) for payload in payloads]

    def measure(maker: BlockMaker, snr_db: float) -> Measured:
        first = maker.next_sequence
        if row.way == "pieces":
            pieces = sweep_in_pieces(context, maker, scheme, payloads, embeddings, snr_db, stream)
            return *pieces, costs
        streamed = stream_queries(context, maker, row.scheme_id, row.link, queries, row.bandwidth)
        expected = replay_payloads(scheme, payloads, embeddings, snr_db, stream, first)
        return streamed, expected, costs

    return measure


def _point(
    people: People,
    scheme: Scheme,
    row: _Row,
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
        bandwidth=(costs[0].uses if row.way == "whole" else 0) or scheme.info.bandwidth,
        link=row.link,
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
        uses_p95=float(np.percentile(uses, 95, method="higher")),
        downlink_bits=round(streamed.downlink_bits / len(streamed.order), 3),
        way=row.way,
    )


def _mean_bits(costs: list[BlockCost]) -> float:
    return round(float(np.mean([cost.payload_bits for cost in costs])), 2)
