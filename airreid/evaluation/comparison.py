"""Every JSCC scheme beside the linear baseline of its bandwidth, as a model card lists them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from numpy.typing import NDArray

from airreid.bundle import Bundle
from airreid.codecs.pca import fit_pca
from airreid.evaluation.points import pca_points, scheme_points
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.jscc import JsccScheme
from airreid.scheme_info import JsccInfo


def pca_comparison(
    bundle: Bundle,
    data: RetrievalFeatures,
    fitted_on: NDArray[Any],
    snrs_db: Sequence[float],
    seeds: Sequence[int],
    tick: Callable[[], object] = lambda: None,
    leave_out: Collection[str] = (),
) -> list[dict[str, Any]]:
    """One row a JSCC scheme and SNR, with the same noise for both.

    ``fitted_on``: the features (N, D) that PCA's components are taken from. Digital
    schemes have no row: they send bits, and neither they nor their baseline are analog.
    """
    rows = []
    for info in bundle.manifest.schemes:
        if not isinstance(info, JsccInfo) or info.id in leave_out:
            continue
        scheme, pca = JsccScheme(bundle, info, threads=2), fit_pca(fitted_on, info.bandwidth)
        codes = scheme_points(bundle.bundle_id, scheme, "analog", data, snrs_db, seeds, tick)
        lines = pca_points(bundle.bundle_id, pca, data, snrs_db, seeds)
        for code, line in zip(codes, lines, strict=True):
            rows.append(
                {
                    "scheme": info.id,
                    "snr_db": code.snr_db,
                    "top1": round(code.top1, 4),
                    "top1_half_width": _round(code.top1_half_width),
                    "map": round(code.map, 4),
                    "pca_top1": round(line.top1, 4),
                    "pca_half_width": _round(line.top1_half_width),
                }
            )
    return rows


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
