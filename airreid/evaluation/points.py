"""Accuracy of one scheme over one link at one SNR, with an interval over noise seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from airreid.channels.settings import link_settings
from airreid.codecs.pca import Pca
from airreid.digital.bounds import shannon_snr_db
from airreid.digital.scheme import DigitalScheme
from airreid.evaluation.interval import mean_of
from airreid.evaluation.retrieval_features import RetrievalFeatures, no_channel_bound
from airreid.nested.pieces import pieces_of, prefixes
from airreid.noise import NoiseStream
from airreid.offline import LINK_NAME, pack_each, receive, send
from airreid.payload import Analog, Link, Payload
from airreid.retrieval import Retrieval
from airreid.scheme import Scheme
from airreid.scheme_info import DigitalInfo, JsccInfo, NestedInfo

PCA = "pca"
"""Kind of a point of the linear baseline."""
NO_CHANNEL = "noiseless"
"""Kind of a point that compares the backbone's features without a channel."""


@dataclass(frozen=True)
class Point:
    """One row of a result. Shares are between 0 and 1."""

    bundle: str
    scheme: str
    kind: str
    """A scheme kind, as :mod:`airreid.scheme_kinds` has them, :data:`PCA` or
    :data:`NO_CHANNEL`."""
    link: str
    """``analog``, ``coded``, ``ideal``; ``paper``: a code of capacity carries the mean number
    of bits at this SNR; ``none``: no channel."""
    bandwidth: int
    """B, real channel uses per query; 0 without a channel."""
    snr_db: float | None
    snr_db_train: tuple[float, float] | None
    queries: int
    seeds: int
    top1: float
    top1_half_width: float | None
    """Half of the 95 % interval over the seeds; None where no noise was drawn or one seed only."""
    top5: float
    top10: float
    map: float
    map_half_width: float | None
    minp: float
    outage: float = 0.0
    """Share of the queries that are lost, and counted as not found."""
    payload_bits: float | None = None
    """Mean per query, check bits left out."""
    crc_bits: int | None = None
    side_bits: int | None = None
    paper_snr_db: float | None = None
    """SNR at which a code of capacity carries the mean number of bits."""
    dimensions: int | None = None
    """d, dimensions of a digital scheme's latent."""
    rate_lambda: float | None = None
    """The paper's λ, which the scheme was trained with, if its bundle says so. Result files
    call it ``trade``."""
    splits: int = 1
    """Splits of the data set, over which every value is a mean."""
    top1_sd: float | None = None
    """Standard deviation of top-1 over the splits."""
    backbone: str = ""
    """Id of the backbone whose features the scheme works on; a bundle may have several."""


def _rounded(value: float) -> float | None:
    return round(value, 5) if np.isfinite(value) else None


def _point(
    retrievals: Sequence[Retrieval],
    *,
    bundle: str,
    scheme: str,
    kind: str,
    link: str,
    bandwidth: int,
    snr_db: float | None = None,
    snr_db_train: tuple[float, float] | None = None,
) -> Point:
    """Averages the retrievals of several noise seeds, or wraps the only one."""
    top1 = mean_of([retrieval.top1 for retrieval in retrievals])
    mean_ap = mean_of([retrieval.mean_ap for retrieval in retrievals])
    return Point(
        bundle=bundle,
        scheme=scheme,
        kind=kind,
        link=link,
        bandwidth=bandwidth,
        snr_db=snr_db,
        snr_db_train=snr_db_train,
        queries=retrievals[0].queries,
        seeds=len(retrievals),
        top1=round(top1.value, 5),
        top1_half_width=_rounded(top1.half_width),
        top5=round(mean_of([retrieval.top5 for retrieval in retrievals]).value, 5),
        top10=round(mean_of([retrieval.top10 for retrieval in retrievals]).value, 5),
        map=round(mean_ap.value, 5),
        map_half_width=_rounded(mean_ap.half_width),
        minp=round(mean_of([retrieval.mean_inp for retrieval in retrievals]).value, 5),
    )


def no_channel_point(bundle: str, backbone: str, data: RetrievalFeatures) -> Point:
    """Compares the backbone's features as they are: what no scheme on it is meant to lose."""
    return _point(
        [no_channel_bound(data)],
        bundle=bundle,
        scheme=backbone,
        kind=NO_CHANNEL,
        link="none",
        bandwidth=0,
    )


def scheme_points(
    bundle: str,
    scheme: Scheme,
    link: Link,
    data: RetrievalFeatures,
    snrs_db: Sequence[float],
    seeds: Sequence[int],
    tick: Callable[[], object] = lambda: None,
    channel: str = "awgn",
) -> list[Point]:
    """Measures a scheme over a link: query i is block i, packed one at a time as an edge does.

    The same payloads, noise and receiver as :func:`airreid.offline.replay`, so the same
    answers as over the wire. The ideal link over AWGN draws no noise and takes one seed. A nested
    scheme gives a point for each of its prefixes. ``tick`` is called once for each SNR.
    ``channel``: model, with its own settings as they are by default.
    """
    info = scheme.info
    whole, gallery = pack_each(scheme, link, data.queries), scheme.gallery(data.gallery)
    if isinstance(info, NestedInfo):
        points = []
        for uses in prefixes(info.bandwidth, info.piece):
            cut = [pieces_of(block, 0, uses) for block in whole if isinstance(block, Analog)]
            points += _points_of(
                bundle,
                scheme,
                link,
                data,
                (uses, cut, gallery),
                snrs_db,
                seeds,
                lambda: None,
                channel,
            )
        for _ in snrs_db:
            tick()
        return points
    sent = (info.bandwidth, whole, gallery)
    return _points_of(bundle, scheme, link, data, sent, snrs_db, seeds, tick, channel)


def _points_of(
    bundle: str,
    scheme: Scheme,
    link: Link,
    data: RetrievalFeatures,
    sent: tuple[int, Sequence[Payload], NDArray[np.float32]],
    snrs_db: Sequence[float],
    seeds: Sequence[int],
    tick: Callable[[], object],
    channel: str,
) -> list[Point]:
    """Measures blocks of so many uses, ``sent`` with the gallery's embeddings."""
    info = scheme.info
    bandwidth, payloads, gallery = sent
    costs = [scheme.cost(payload) for payload in payloads]
    bits = float(np.mean([cost.payload_bits for cost in costs]))
    drawn = seeds[:1] if link == "ideal" and channel == "awgn" else seeds
    points = []
    for snr_db in snrs_db:
        retrievals, lost = [], []
        for seed in drawn:
            received = receive(scheme, payloads, snr_db, NoiseStream(seed, LINK_NAME), 0, channel)
            retrievals.append(data.search(received.embeddings, gallery, received.lost))
            lost.append(float(received.lost.mean()))
        point = _point(
            retrievals,
            bundle=bundle,
            scheme=info.id,
            kind=info.kind,
            link=link,
            bandwidth=bandwidth,
            snr_db=snr_db,
            snr_db_train=info.snr_db_train if isinstance(info, JsccInfo | NestedInfo) else None,
        )
        if isinstance(info, DigitalInfo):
            point = _with_bits(point, bits, costs[0].crc_bits, costs[0].side_bits, lost)
        points.append(point)
        tick()
    return points


def _with_bits(
    point: Point, bits: float, crc_bits: int, side_bits: int, lost: Sequence[float]
) -> Point:
    """Adds a digital scheme's bits and its outage, the mean of ``lost`` over the seeds."""
    at_capacity = point.link in ("ideal", "paper")
    return replace(
        point,
        outage=round(float(np.mean(lost)), 5),
        payload_bits=round(bits, 2),
        crc_bits=crc_bits,
        side_bits=side_bits,
        paper_snr_db=round(shannon_snr_db(bits, point.bandwidth), 3) if at_capacity else None,
    )


def paper_point(bundle: str, scheme: DigitalScheme, data: RetrievalFeatures) -> Point:
    """Counts a digital scheme as the paper does: nothing is lost at the SNR at which a code
    of capacity carries the *mean* number of bits, ``B C(SNR) = k``."""
    info = scheme.info
    payloads = pack_each(scheme, "ideal", data.queries)
    received = scheme.unpack(payloads, [0.0] * len(payloads))
    bits = float(np.mean([scheme.cost(payload).payload_bits for payload in payloads]))
    point = _point(
        [data.search(received.embeddings, scheme.gallery(data.gallery))],
        bundle=bundle,
        scheme=info.id,
        kind=info.kind,
        link="paper",
        bandwidth=info.bandwidth,
        snr_db=round(shannon_snr_db(bits, info.bandwidth), 3),
    )
    return _with_bits(point, bits, 0, 0, [0.0])


class Code(Protocol):
    """A map from features to symbols that are compared as received."""

    @property
    def bandwidth(self) -> int:
        """B, real channel uses per query."""
        ...

    def encode(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Encodes (N, D) to symbols (N, B) of mean power 1."""
        ...


def pca_points(
    bundle: str,
    pca: Pca,
    data: RetrievalFeatures,
    snrs_db: Sequence[float],
    seeds: Sequence[int],
    tick: Callable[[], object] = lambda: None,
    channel: str = "awgn",
) -> list[Point]:
    """Measures the linear baseline: principal components sent as they are and compared as
    received."""
    named = (f"pca-{pca.bandwidth}", PCA)
    return code_points(bundle, pca, named, data, snrs_db, seeds, tick, channel)


def code_points(
    bundle: str,
    code: Code,
    named: tuple[str, str],
    data: RetrievalFeatures,
    snrs_db: Sequence[float],
    seeds: Sequence[int],
    tick: Callable[[], object] = lambda: None,
    channel: str = "awgn",
) -> list[Point]:
    """Measures a code that is in no bundle, ``named`` by scheme and kind.

    Its symbols are compared as received; noise and answers are those of a scheme of a bundle.
    """
    gallery = code.encode(data.gallery)
    payloads: list[Payload] = [Analog(row) for row in code.encode(data.queries)]
    points = []
    for snr_db in snrs_db:
        retrievals = []
        settings = link_settings(model=channel, snr_db=snr_db)
        for seed in seeds:
            arrived = send(payloads, settings, NoiseStream(seed, LINK_NAME), 0)
            retrievals.append(data.search(_symbols(arrived.payloads), gallery))
        points.append(
            _point(
                retrievals,
                bundle=bundle,
                scheme=named[0],
                kind=named[1],
                link="analog",
                bandwidth=code.bandwidth,
                snr_db=snr_db,
            )
        )
        tick()
    return points


def _symbols(payloads: Sequence[Payload]) -> NDArray[np.float32]:
    return np.stack([payload.symbols for payload in payloads if isinstance(payload, Analog)])
