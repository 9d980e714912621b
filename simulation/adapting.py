"""Queries sent at once as the access point's last report on the link advises, and their replay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, groupby, islice

import numpy as np
from numpy.typing import NDArray

from airreid.digital.adaptation import choose_rate, rate_ids, rate_of
from airreid.digital.scheme import DigitalScheme
from airreid.link_report import REPORTED_BLOCKS, ReportedLink, choice_bits
from airreid.nested.pieces import pieces_of
from airreid.nested.scheme import NestedScheme
from airreid.noise import NoiseStream
from airreid.offline import Replayed, pack_each, replay_payloads
from airreid.payload import Analog, Link, Payload
from airreid.scheme import BlockCost, Scheme
from airreid.scheme_kinds import open_scheme
from airreid.v1 import uplink_pb2
from edge.blocks import BlockMaker
from simulation.plan import EDGE_ID
from simulation.streaming import Collector, StreamResult, SweepContext

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Packed:
    """Queries packed by every scheme that may be chosen, and the gallery in its space."""

    schemes: Mapping[str, Scheme]
    payloads: Mapping[str, list[Payload]]
    galleries: Mapping[str, Features]

    def cost(self, scheme_id: str, payload: Payload) -> BlockCost:
        """Counts a block, and the bits that say which scheme or how many pieces it has."""
        scheme = self.schemes[scheme_id]
        cost = scheme.cost(payload)
        count = len(self.schemes)
        if isinstance(scheme, NestedScheme) and isinstance(payload, Analog):
            count = scheme.info.bandwidth // payload.piece
        return replace(cost, side_bits=cost.side_bits + choice_bits(count))


def packed_for(
    context: SweepContext, scheme: Scheme, link: Link, queries: Features, gallery: Features
) -> Packed:
    """Packs queries by a nested scheme, or by every digital scheme that it stands for."""
    bundle, schemes = context.encoder.bundle, {scheme.info.id: scheme}
    if isinstance(scheme, DigitalScheme):
        for scheme_id in rate_ids(bundle, scheme.info.id):
            if scheme_id not in schemes:
                info = bundle.scheme(scheme_id)
                schemes[scheme_id] = open_scheme(bundle, info, context.plan.threads)
    return Packed(
        schemes,
        {name: pack_each(rate, link, queries) for name, rate in schemes.items()},
        {name: rate.gallery(gallery) for name, rate in schemes.items()},
    )


class _Adapting:
    """Blocks made one by one, each as the latest report advises."""

    def __init__(self, context: SweepContext, maker: BlockMaker, scheme: Scheme, packed: Packed):
        self._context, self._maker, self._packed = context, maker, packed
        self._scheme_id = scheme.info.id
        self._rates = [
            rate_of(context.encoder.bundle, rate)
            for rate in packed.schemes.values()
            if isinstance(rate, DigitalScheme)
        ]
        self.link = ReportedLink()
        self.chosen: list[tuple[str, Payload]] = []

    def blocks(self) -> Iterator[uplink_pb2.QueryRequest]:
        """Yields a block for every query."""
        for row in range(len(self._packed.payloads[self._scheme_id])):
            scheme_id, payload = self._choose(row)
            self.chosen.append((scheme_id, payload))
            size = len(self._context.people.gallery)
            block = self._maker.block(payload, scheme_id, top_k=5, top_entries=size)
            block.report_wanted = True
            yield block

    def _choose(self, row: int) -> tuple[str, Payload]:
        report = self.link.latest()
        if self._rates:
            rate = choose_rate(self._rates, report, self.link.target_outage)
            return rate.scheme_id, self._packed.payloads[rate.scheme_id][row]
        whole = self._packed.payloads[self._scheme_id][row]
        if not report.fixed_uses or not isinstance(whole, Analog):
            return self._scheme_id, whole
        return self._scheme_id, pieces_of(whole, 0, report.fixed_uses)


def sweep_adapted(
    context: SweepContext,
    maker: BlockMaker,
    scheme: Scheme,
    packed: Packed,
    snr_db: float,
    stream: NoiseStream,
) -> tuple[StreamResult, Replayed, list[BlockCost]]:
    """Streams every query as reports advise, and computes what was sent again without processes.

    What is advised when depends on when answers come, so the replay takes each block as it was
    sent. What the access point remembers of the link is of this SNR alone.
    """
    _make_recent(context, scheme, packed)
    first = maker.next_sequence
    adapting = _Adapting(context, maker, scheme, packed)
    count = len(packed.payloads[scheme.info.id])
    collector = Collector(context, first, count, link=adapting.link)
    streamed = collector.collect(adapting.blocks())
    expected = _replay(packed, adapting.chosen, snr_db, stream, first)
    return streamed, expected, [packed.cost(*choice) for choice in adapting.chosen]


def _make_recent(context: SweepContext, scheme: Scheme, packed: Packed) -> None:
    """Sends as many blocks as the access point remembers, lest it advises by those before."""
    maker = BlockMaker(EDGE_ID, context.encoder.bundle.bundle_id)
    payloads = islice(cycle(packed.payloads[scheme.info.id]), REPORTED_BLOCKS)
    for _ in context.uplink.query(maker.blocks(payloads, scheme.info.id), context.plan.window):
        pass


def _replay(
    packed: Packed,
    chosen: Sequence[tuple[str, Payload]],
    snr_db: float,
    stream: NoiseStream,
    first: int,
) -> Replayed:
    """Ranks blocks as :func:`airreid.offline.replay_payloads` does, in runs of one scheme."""
    orders, scores, sent = [], [], 0
    for scheme_id, run in groupby(chosen, key=lambda choice: choice[0]):
        payloads = [payload for _, payload in run]
        scheme, gallery = packed.schemes[scheme_id], packed.galleries[scheme_id]
        replayed = replay_payloads(scheme, payloads, gallery, snr_db, stream, first + sent)
        orders.append(replayed.order)
        scores.append(replayed.scores)
        sent += len(payloads)
    return Replayed(np.concatenate(orders), np.concatenate(scores))
