"""Comparison of JSCC schemes with the linear baseline of their bandwidth, as in a model card."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from numpy.typing import NDArray

from airreid.bundle import Bundle
from airreid.codecs.pca import fit_pca
from airreid.evaluation.points import pca_points, scheme_points
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.model_card import JsccAccuracy
from airreid.scheme_info import JsccInfo, NestedInfo
from airreid.scheme_kinds import open_scheme


def pca_comparison(
    bundle: Bundle,
    data: RetrievalFeatures,
    fitted_on: NDArray[Any],
    snrs_db: Sequence[float],
    seeds: Sequence[int],
    tick: Callable[[], object] = lambda: None,
    scheme_ids: Collection[str] | None = None,
) -> list[JsccAccuracy]:
    """Measures JSCC schemes beside PCA, with the same noise for both: a row a scheme and SNR.

    ``fitted_on``: the features (N, D) that PCA's components are taken from; ``scheme_ids``:
    all JSCC schemes of the bundle if None; of a nested one all pieces are sent. Digital schemes
    have no row: they send bits, and neither they nor their baseline are analog.
    """
    rows = []
    for info in bundle.manifest.schemes:
        if not isinstance(info, JsccInfo | NestedInfo):
            continue
        if scheme_ids is not None and info.id not in scheme_ids:
            continue
        scheme, pca = open_scheme(bundle, info, threads=2), fit_pca(fitted_on, info.bandwidth)
        points = [
            point
            for point in scheme_points(
                bundle.bundle_id, scheme, "analog", data, snrs_db, seeds, tick
            )
            if point.bandwidth == info.bandwidth
        ]
        baseline = pca_points(bundle.bundle_id, pca, data, snrs_db, seeds)
        for snr_db, point, pca_point in zip(snrs_db, points, baseline, strict=True):
            rows.append(
                JsccAccuracy(
                    scheme=info.id,
                    snr_db=snr_db,
                    top1=round(point.top1, 4),
                    top1_half_width=_round(point.top1_half_width),
                    map=round(point.map, 4),
                    pca_top1=round(pca_point.top1, 4),
                    pca_half_width=_round(pca_point.top1_half_width),
                )
            )
    return rows


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
