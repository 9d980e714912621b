"""Families of protocols, such as CUHK03's 20 old splits: a mean and a spread over all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import BackboneInfo, Bundle
from airreid.datasets.dataset import DataSet
from airreid.datasets.reader import Splits
from airreid.datasets.samples import ImageSet
from airreid.evaluation.evaluate import Settings, evaluate
from airreid.evaluation.exact_retrieval import SingleShot
from airreid.evaluation.features import Extracted, Phase, every, features_of
from airreid.evaluation.interval import mean_of
from airreid.evaluation.points import Point
from airreid.evaluation.retrieval_features import RetrievalFeatures


def evaluate_splits(
    bundle: Bundle, splits: Splits, settings: Settings, phase: Phase
) -> list[Point]:
    """Measures each point's mean over the splits, and their standard deviation.

    Features of all images are made once. Each split fits the linear baseline on its own
    training images. One bundle is tested on every split: it should have been trained on
    none of these people.
    """
    everybody = splits.everybody
    rows = {sample.name: row for row, sample in enumerate(everybody.samples)}
    by_backbone: dict[str, NDArray[np.float32]] = {}

    def extract(backbone: BackboneInfo, data: DataSet) -> Extracted:
        if backbone.id not in by_backbone:
            tick = phase("features of all images", len(everybody))
            by_backbone[backbone.id] = features_of(
                bundle, backbone, everybody, settings.cache, tick
            )
        features = by_backbone[backbone.id]

        def select(images: ImageSet) -> NDArray[np.float32]:
            return features[[rows[sample.name] for sample in images.samples]]

        query_labels, gallery_labels = data.test_labels()
        test = RetrievalFeatures(
            select(data["gallery"]),
            gallery_labels,
            select(data["query"]),
            query_labels,
            SingleShot() if data.single_shot else None,
        )
        fitted = every(data["train"], settings.pca_images) if settings.pca_images else None
        return Extracted(test, features[:0] if fitted is None else select(fitted))

    tick = phase("splits", len(splits.data_sets))
    by_split = []
    for data in splits.data_sets:
        by_split.append(evaluate(bundle, data, settings, _quiet, extract))
        tick()
    return over_splits(by_split)


def _quiet(name: str, steps: int) -> Callable[[], object]:
    return lambda: None


def over_splits(by_split: Sequence[Sequence[Point]]) -> list[Point]:
    """Averages the points of every split, which come in the same order.

    ``top1_sd`` is the standard deviation over the splits, and the half-widths are Student's
    over them as well. ``queries`` is the number counted over all splits.
    """
    merged = []
    for points in zip(*by_split, strict=True):
        first = points[0]
        top1, mean_ap = mean_of([p.top1 for p in points]), mean_of([p.map for p in points])
        several = len(points) > 1
        merged.append(
            replace(
                first,
                snr_db=_mean([p.snr_db for p in points]),
                queries=sum(p.queries for p in points),
                top1=round(top1.value, 5),
                top1_half_width=round(top1.half_width, 5) if several else first.top1_half_width,
                top5=round(float(np.mean([p.top5 for p in points])), 5),
                top10=round(float(np.mean([p.top10 for p in points])), 5),
                map=round(mean_ap.value, 5),
                map_half_width=round(mean_ap.half_width, 5) if several else first.map_half_width,
                minp=round(float(np.mean([p.minp for p in points])), 5),
                outage=round(float(np.mean([p.outage for p in points])), 5),
                payload_bits=_mean([p.payload_bits for p in points]),
                paper_snr_db=_mean([p.paper_snr_db for p in points]),
                splits=len(points),
                top1_sd=round(float(np.std([p.top1 for p in points], ddof=1)), 5)
                if several
                else None,
            )
        )
    return merged


def _mean(values: Sequence[float | None]) -> float | None:
    """Mean of values that are all known; None where one is not."""
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 3) if len(known) == len(values) else None
