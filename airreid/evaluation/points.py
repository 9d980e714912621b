"""One scheme over one link at one SNR: what is found, with an interval over noise seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import DigitalInfo, SchemeInfo
from airreid.codecs.pca import Pca
from airreid.digital.bounds import shannon_snr_db
from airreid.digital.scheme import DigitalScheme
from airreid.evaluation.interval import mean_of
from airreid.evaluation.retrieval_features import Gallery, noiseless
from airreid.noise import NoiseStream
from airreid.offline import pack_each, receive, transmit
from airreid.payload import Analog, Link, Payload
from airreid.retrieval import Retrieval
from airreid.scheme import Scheme

LINK_NAME = "offline"
"""Of the noise stream that evaluations draw from."""


@dataclass(frozen=True)
class Point:
    """One row of a result. Shares are between 0 and 1."""

    bundle: str
    scheme: str
    kind: str
    """``jscc-ae``, ``jscc-fc``, ``digital``, ``pca`` or ``noiseless``."""
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
    """Of the 95 % interval over the seeds; None where no noise was drawn or one seed only."""
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
    """d, of a digital scheme's latent."""
    trade: float | None = None
    """The paper's lambda, which the scheme was trained with, if its bundle says so."""
    splits: int = 1
    """Of the data set, over which every value is a mean."""
    top1_sd: float | None = None
    """Standard deviation of top-1 over the splits."""
    backbone: str = ""
    """Id of the backbone whose features it works on; a bundle may have several."""


def _rounded(value: float) -> float | None:
    return round(value, 5) if np.isfinite(value) else None


def _point(
    where: tuple[str, str, str, str, int],
    snr_db: float | None,
    train: tuple[float, float] | None,
    found: Sequence[Retrieval],
) -> Point:
    top1, mean_ap = mean_of([f.top1 for f in found]), mean_of([f.mean_ap for f in found])
    bundle, scheme, kind, link, bandwidth = where
    return Point(
        bundle=bundle,
        scheme=scheme,
        kind=kind,
        link=link,
        bandwidth=bandwidth,
        snr_db=snr_db,
        snr_db_train=train,
        queries=found[0].queries,
        seeds=len(found),
        top1=round(top1.value, 5),
        top1_half_width=_rounded(top1.half_width),
        top5=round(mean_of([f.top5 for f in found]).value, 5),
        top10=round(mean_of([f.top10 for f in found]).value, 5),
        map=round(mean_ap.value, 5),
        map_half_width=_rounded(mean_ap.half_width),
        minp=round(mean_of([f.mean_inp for f in found]).value, 5),
    )


def noiseless_point(bundle: str, backbone: str, data: Gallery) -> Point:
    """The backbone's features compared as they are: what no scheme on it is meant to lose."""
    return _point((bundle, backbone, "noiseless", "none", 0), None, None, [noiseless(data)])


def scheme_points(
    bundle: str,
    scheme: Scheme,
    link: Link,
    data: Gallery,
    snrs_db: Sequence[float],
    seeds: Sequence[int],
    tick: Callable[[], object] = lambda: None,
) -> list[Point]:
    """A scheme over a link: query i is block i, packed one at a time as an edge does.

    The same payloads, noise and receiver as :func:`airreid.offline.replay`, so the same
    answers as over the wire. The ideal link draws no noise and takes one seed. ``tick``
    is called once for each SNR.
    """
    info = scheme.info
    payloads, gallery = pack_each(scheme, link, data.queries), scheme.gallery(data.gallery)
    accounts = [scheme.account(payload) for payload in payloads]
    bits = float(np.mean([account.payload_bits for account in accounts]))
    drawn = seeds[:1] if link == "ideal" else seeds
    points = []
    for snr_db in snrs_db:
        found, lost = [], []
        for seed in drawn:
            got = receive(scheme, payloads, snr_db, NoiseStream(seed, LINK_NAME), 0)
            found.append(data.search(got.embeddings, gallery, got.lost))
            lost.append(float(got.lost.mean()))
        where = (bundle, info.id, info.kind, link, info.bandwidth)
        point = _point(where, snr_db, _train_range(info), found)
        if isinstance(info, DigitalInfo):
            point = _digital(point, bits, accounts[0].crc_bits, accounts[0].side_bits, lost)
        points.append(point)
        tick()
    return points


def _digital(
    point: Point, bits: float, crc_bits: int, side_bits: int, lost: Sequence[float]
) -> Point:
    values = dict(point.__dict__)
    values |= {
        "outage": round(float(np.mean(lost)), 5),
        "payload_bits": round(bits, 2),
        "crc_bits": crc_bits,
        "side_bits": side_bits,
    }
    if point.link in ("ideal", "paper"):
        values["paper_snr_db"] = round(shannon_snr_db(bits, point.bandwidth), 3)
    return Point(**values)


def paper_point(bundle: str, scheme: DigitalScheme, data: Gallery) -> Point:
    """The paper's account of a digital scheme: nothing is lost at the SNR at which a code
    of capacity carries the *mean* number of bits, ``B C(SNR) = k``."""
    info = scheme.info
    payloads = pack_each(scheme, "ideal", data.queries)
    got = scheme.unpack(payloads, [0.0] * len(payloads))
    bits = float(np.mean([scheme.account(payload).payload_bits for payload in payloads]))
    found = data.search(got.embeddings, scheme.gallery(data.gallery))
    where = (bundle, info.id, info.kind, "paper", info.bandwidth)
    snr_db = round(shannon_snr_db(bits, info.bandwidth), 3)
    return _digital(_point(where, snr_db, None, [found]), bits, 0, 0, [0.0])


def pca_points(
    bundle: str,
    pca: Pca,
    data: Gallery,
    snrs_db: Sequence[float],
    seeds: Sequence[int],
    tick: Callable[[], object] = lambda: None,
) -> list[Point]:
    """The linear baseline: principal components sent as they are and compared as received."""
    bandwidth = len(pca.components)
    gallery = pca.encode(data.gallery)
    payloads: list[Payload] = [Analog(row) for row in pca.encode(data.queries)]
    points = []
    for snr_db in snrs_db:
        found = []
        for seed in seeds:
            arrived = transmit(payloads, snr_db, NoiseStream(seed, LINK_NAME), 0)
            found.append(data.search(_symbols(arrived), gallery))
        where = (bundle, f"pca-{bandwidth}", "pca", "analog", bandwidth)
        points.append(_point(where, snr_db, None, found))
        tick()
    return points


def _symbols(payloads: Sequence[Payload]) -> NDArray[np.float32]:
    return np.stack([payload.symbols for payload in payloads if isinstance(payload, Analog)])


def _train_range(info: SchemeInfo) -> tuple[float, float] | None:
    return None if isinstance(info, DigitalInfo) else info.snr_db_train
