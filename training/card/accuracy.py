"""Accuracy part of a model card, measured on people whom nothing was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
from airreid.model_card import Accuracy
from training.card.digital_accuracy import digital_accuracy
from training.engine.progress import Report
from training.models.digital import DigitalCodec
from training.runs.checkpoints import SavedScheme
from training.runs.folder import TRAINED_SIZE, CropSize, cached_pixels
from training.runs.graph_features import extract

CARD_SNRS_DB = (-10.0, -6.0, -3.0, 0.0, 5.0, 10.0, 20.0)
CARD_SEEDS = tuple(range(5))


def protocol(images: ImageSet, data: RetrievalFeatures) -> str:
    """Says in a line how accuracy is measured."""
    return (
        f"{images.name}: {len(data.queries)} queries of {_people(data)} people by one camera "
        f"against {len(data.gallery)} images by another; {len(CARD_SEEDS)} noise seeds"
    )


def _people(data: RetrievalFeatures) -> int:
    """Number of the people who are searched for and have an image by another camera."""
    return len(np.intersect1d(data.query_labels.identity, data.gallery_labels.identity))


def measurable(images: ImageSet) -> bool:
    """Whether some person was seen by the first camera and by another one."""
    labels, cameras = images.labels(), images.cameras()
    first = set(labels[cameras == cameras.min()].tolist())
    return bool(first & set(labels[cameras != cameras.min()].tolist()))


def validation_features(
    bundle: Bundle,
    images: ImageSet,
    cache: Path,
    report: Report,
    backbone: BackboneInfo | None = None,
) -> RetrievalFeatures:
    """Features of the validation images by a backbone of the bundle, the first for None."""
    info = backbone or bundle.backbone
    size = (info.height, info.width)
    return _by_camera(bundle.file(info.file), images, cache, info.precision, report, size)


def no_channel_accuracy(
    data: RetrievalFeatures,
    images: ImageSet,
    precision: str,
    fp32: Path,
    cache: Path,
    report: Report,
) -> Accuracy:
    """Compares the shipped backbone's features ``data``, with its fp32 original if it is int8."""
    shipped = no_channel_bound(data)
    if precision == "fp32":
        return Accuracy(protocol=protocol(images, data), noiseless_fp32_top1=round(shipped.top1, 4))
    original = no_channel_bound(_by_camera(fp32, images, cache, "fp32", report))
    difference, half_width = paired_difference(shipped, original)
    return Accuracy(
        protocol=protocol(images, data),
        noiseless_int8_top1=round(shipped.top1, 4),
        noiseless_fp32_top1=round(original.top1, 4),
        int8_minus_fp32=round(difference, 4),
        int8_minus_fp32_half_width=round(half_width, 4),
    )


def scheme_accuracy(
    bundle: Bundle,
    data: RetrievalFeatures,
    fitted_on: NDArray[np.float32],
    schemes: Sequence[SavedScheme],
    report: Report,
) -> Accuracy:
    """Measures the bundle's files of ``schemes``, each beside PCA fitted on the features (N, D)."""
    models = {scheme.id: scheme.network(DigitalCodec) for scheme in schemes if scheme.is_digital}
    jscc = [scheme.id for scheme in schemes if not scheme.is_digital]
    tick = report.phase("accuracy over the air", len(jscc) * len(CARD_SNRS_DB))
    over_the_air = pca_comparison(bundle, data, fitted_on, CARD_SNRS_DB, CARD_SEEDS, tick, jscc)
    tick = report.phase("accuracy of digital schemes", len(models))
    digital = digital_accuracy(bundle, data, fitted_on, models, tick)
    counted = {"people": _people(data)}
    return Accuracy(
        over_the_air=tuple(row.model_copy(update=counted) for row in over_the_air),
        digital=tuple(row.model_copy(update=counted) for row in digital),
    )


def _by_camera(
    graph: Path,
    images: ImageSet,
    cache: Path,
    name: str,
    report: Report,
    size: CropSize = TRAINED_SIZE,
) -> RetrievalFeatures:
    crops = cached_pixels(images, cache, report, size)
    tick = report.phase(f"validation features, {name}", len(images))
    return split_by_camera(extract(graph, crops, tick=tick), images.labels(), images.cameras())
