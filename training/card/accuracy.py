"""The accuracy part of a model card: people whom nothing was trained on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import BackboneInfo, Bundle
from airreid.datasets.samples import ImageSet
from airreid.evaluation.comparison import pca_comparison
from airreid.evaluation.retrieval_features import (
    RetrievalFeatures,
    no_channel_bound,
    paired_difference,
    split_by_camera,
)
from airreid.scheme_info import JsccInfo
from training.card.digital import digital_rows
from training.engine.progress_report import Report
from training.models.digital import Digital
from training.runs.features import extract
from training.runs.folder import cached_pixels

CARD_SNRS_DB = (-10.0, -6.0, -3.0, 0.0, 5.0, 10.0, 20.0)
CARD_SEEDS = tuple(range(5))


def protocol(images: ImageSet, data: RetrievalFeatures) -> str:
    """How accuracy is measured, in a line."""
    return (
        f"{images.name}: {len(data.queries)} queries by one camera against "
        f"{len(data.gallery)} images by another; {len(CARD_SEEDS)} noise seeds"
    )


def measurable(images: ImageSet) -> bool:
    """Whether some person was seen by the first camera and by another one."""
    labels, cameras = images.labels(), images.cameras()
    first = set(labels[cameras == cameras.min()].tolist())
    return bool(first & set(labels[cameras != cameras.min()].tolist()))


def validation(
    bundle: Bundle,
    images: ImageSet,
    cache: Path,
    report: Report,
    backbone: BackboneInfo | None = None,
) -> RetrievalFeatures:
    """Features of the validation images by a backbone of the bundle, the first for None."""
    info = backbone or bundle.backbone
    return _by_camera(bundle.file(info.file), images, cache, info.precision, report)


def no_channel_rows(
    data: RetrievalFeatures,
    images: ImageSet,
    precision: str,
    fp32: Path,
    cache: Path,
    report: Report,
) -> dict[str, Any]:
    """The shipped backbone's features ``data``, against its fp32 original if it is int8."""
    ours = no_channel_bound(data)
    if precision == "fp32":
        rows = {"noiseless_fp32_top1": round(ours.top1, 4)}
        return {"protocol": protocol(images, data), **rows}
    full = no_channel_bound(_by_camera(fp32, images, cache, "fp32", report))
    difference, half = paired_difference(ours, full)
    return {
        "protocol": protocol(images, data),
        "noiseless_int8_top1": round(ours.top1, 4),
        "noiseless_fp32_top1": round(full.top1, 4),
        "int8_minus_fp32": round(difference, 4),
        "int8_minus_fp32_half_width": round(half, 4),
    }


def scheme_rows(
    bundle: Bundle,
    data: RetrievalFeatures,
    fitted_on: NDArray[np.float32],
    digital: Mapping[str, Digital],
    report: Report,
    leave_out: Collection[str] = (),
) -> dict[str, list[dict[str, Any]]]:
    """``over_the_air`` for JSCC schemes, ``digital`` for the digital ones, each against PCA.

    ``digital`` maps the ids of the digital schemes to their networks; ``leave_out``
    names schemes that get no row.
    """
    jscc = [
        info
        for info in bundle.manifest.schemes
        if isinstance(info, JsccInfo) and info.id not in leave_out
    ]
    tick = report.phase("accuracy over the air", len(jscc) * len(CARD_SNRS_DB))
    rows = pca_comparison(bundle, data, fitted_on, CARD_SNRS_DB, CARD_SEEDS, tick, leave_out)
    tick = report.phase("accuracy of digital schemes", len(digital))
    return {"over_the_air": rows, "digital": digital_rows(bundle, data, fitted_on, digital, tick)}


def _by_camera(
    graph: Path, images: ImageSet, cache: Path, name: str, report: Report
) -> RetrievalFeatures:
    crops = cached_pixels(images, cache, report)
    tick = report.phase(f"validation features, {name}", len(images))
    return split_by_camera(extract(graph, crops, tick=tick), images.labels(), images.cameras())
