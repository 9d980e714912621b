"""Offline accuracy: codecs, the linear baseline and the noiseless bound on given features."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import Bundle, JsccInfo
from airreid.jscc import JsccScheme
from airreid.metrics import Labels, Retrieval, cosine, evaluate_ranking, rank
from airreid.noise import NoiseStream
from airreid.signal import awgn
from training.pca import fit_pca

Map = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Gallery:
    """Features (N, D) and labels of enrolled images, and of the queries (Q, D)."""

    gallery: NDArray[np.float32]
    gallery_labels: Labels
    queries: NDArray[np.float32]
    query_labels: Labels


@dataclass(frozen=True)
class Mean:
    """A mean over noise seeds with a 95 % interval."""

    top1: float
    half_width: float
    """Of the normal interval over the seeds; NaN for a single seed."""
    map: float


def noiseless(data: Gallery) -> Retrieval:
    """The features themselves: neither code nor channel."""
    order = rank(cosine(data.queries, data.gallery))
    return evaluate_ranking(order, data.query_labels, data.gallery_labels)


def over_awgn(
    encode: Map,
    decode: Map,
    gallery_map: Map,
    data: Gallery,
    snr_db: float,
    seeds: Sequence[int],
) -> Mean:
    """Retrieval with every query block sent over AWGN, once for each noise seed.

    encode: (n, D) -> (n, B) of mean power 1; decode: (n, B) -> (n, E); gallery_map:
    (n, D) -> (n, E).
    """
    symbols = encode(data.queries)
    gallery = gallery_map(data.gallery)
    found = []
    for seed in seeds:
        noise = NoiseStream(seed, "offline").blocks(0, len(symbols), symbols.shape[1])
        order = rank(cosine(decode(awgn(symbols, noise, snr_db)), gallery))
        found.append(evaluate_ranking(order, data.query_labels, data.gallery_labels))
    top1 = np.asarray([one.top1 for one in found])
    spread = 1.96 * top1.std(ddof=1) / np.sqrt(len(top1)) if len(top1) > 1 else float("nan")
    mean_ap = float(np.mean([one.mean_ap for one in found]))
    return Mean(float(top1.mean()), float(spread), mean_ap)


def against_pca(
    bundle: Bundle,
    data: Gallery,
    fitted_on: NDArray[np.float32],
    snrs_db: Sequence[float],
    seeds: Sequence[int],
    tick: Callable[[], object] = lambda: None,
    leave_out: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Every JSCC scheme of a bundle beside the linear baseline: one row a scheme and SNR.

    ``fitted_on``: the features (N, D) that PCA's components are taken from. Digital
    schemes have no row: they send bits, and neither they nor their baseline are analog.
    """
    rows = []
    for scheme in bundle.manifest.schemes:
        if not isinstance(scheme, JsccInfo) or scheme.id in leave_out:
            continue
        runner = JsccScheme(bundle, scheme, threads=2)
        pca = fit_pca(fitted_on, scheme.bandwidth)
        for snr_db in snrs_db:
            code = over_awgn(runner.encode, runner.decode, runner.gallery, data, snr_db, seeds)
            line = over_awgn(pca.encode, lambda y: y, pca.encode, data, snr_db, seeds)
            rows.append(
                {
                    "scheme": scheme.id,
                    "snr_db": snr_db,
                    "top1": round(code.top1, 4),
                    "top1_half_width": round(code.half_width, 4),
                    "map": round(code.map, 4),
                    "pca_top1": round(line.top1, 4),
                    "pca_half_width": round(line.half_width, 4),
                }
            )
            tick()
    return rows


def paired_difference(ours: Retrieval, theirs: Retrieval) -> tuple[float, float]:
    """Top-1 of two runs over the same queries: difference and its 95 % half-width.

    The interval is the normal one for paired binary outcomes (McNemar).
    """
    hits = [(one.first_hit == 0).astype(np.float64) for one in (ours, theirs)]
    valid = ~np.isnan(ours.first_hit)
    difference = (hits[0] - hits[1])[valid]
    half = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    return float(difference.mean()), float(half)


def split_by_camera(
    features: NDArray[np.float32], identities: NDArray[np.int64], cameras: NDArray[np.int64]
) -> Gallery:
    """Gallery: the first camera; queries: all others."""
    first = cameras == cameras.min()
    return Gallery(
        features[first],
        Labels(identities[first], cameras[first]),
        features[~first],
        Labels(identities[~first], cameras[~first]),
    )
