"""Accuracy of a site's network and codes, before and after, at home and elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.adopt.elsewhere import measure_site
from airreid.adopt.pipeline import SNRS_DB
from airreid.bundle import Bundle
from airreid.codecs.comparison import AWGN
from airreid.datasets.dataset import DataSet
from airreid.datasets.samples import ImageSet
from airreid.evaluation.evaluate import Settings, about, evaluate
from airreid.evaluation.points import NO_CHANNEL, Point
from airreid.retrieval import guessing
from training.engine.progress import Report
from training.site.context import SiteContext

SEEDS = 5


@dataclass(frozen=True)
class Measured:
    """Points of the network as it was given and of the bundle, on the same people."""

    label: str
    people: int
    about: dict[str, Any]
    before: tuple[Point, ...]
    after: tuple[Point, ...]
    guessing: float
    """Top-1 of a random ranking."""

    @property
    def through(self) -> str:
        """Channel model to be said behind other words; empty for Gaussian noise."""
        channel = str(self.about["channel"])
        return "" if channel == AWGN.model else f", channel {channel}"

    @property
    def protocol(self) -> str:
        """Data, counts and channel in a line."""
        return (
            f"{self.label}: {self.about['query_images']} queries against "
            f"{self.about['gallery_images']} images; {SEEDS} noise seeds{self.through}"
        )


def named_apart(sites: Sequence[DataSet]) -> tuple[DataSet, ...]:
    """Numbers data sets whose label another has too, as folders of one name at two places."""
    apart: list[DataSet] = []
    for data in sites:
        same = sum(other.label == data.label for other in sites[: len(apart)])
        apart.append(replace(data, name=f"{data.name} ({same + 1})") if same else data)
    return tuple(apart)


def settings(context: SiteContext) -> Settings:
    """Settings of every measurement of a run, through the channel model that it trains for.

    PCA is fitted on all of its images.
    """
    return Settings(
        SNRS_DB,
        context.cache,
        SEEDS,
        paper=False,
        pca_images=len(context.images.fit),
        threads=os.cpu_count() or 1,
        channel=context.radio.model,
    )


def measure_home(
    before: Bundle, after: Bundle, data: DataSet, chosen: Settings, report: Report
) -> Measured:
    """Measures both bundles on the people of the data's test."""
    points = [evaluate(bundle, data, chosen, report.phase) for bundle in (before, after)]
    description = about([after], data, chosen)
    people = len(data["query"].identities)
    chance = guessing(*data.test_labels())
    return Measured(data.label, people, description, tuple(points[0]), tuple(points[1]), chance)


def measure_elsewhere(
    bundles: Sequence[tuple[Bundle, NDArray[np.float32]]],
    images: ImageSet,
    data: DataSet,
    chosen: Settings,
    report: Report,
) -> Measured:
    """Measures the bundles before and after, each with its features of ``images``, elsewhere."""
    (before, theirs), (after, ours) = bundles
    first = measure_site(before, theirs, images, data, chosen, report.phase)
    second = measure_site(after, ours, images, data, chosen, report.phase)
    people = len(data["query"].identities)
    chance = guessing(*data.test_labels())
    return Measured(data.label, people, second.about, first.points, second.points, chance)


def rows(points: Sequence[Point]) -> dict[str, float]:
    """Name of a point, the same before and after, to its top-1."""
    return {name_of(point): point.top1 for point in points if point.link != "paper"}


def name_of(point: Point) -> str:
    """Scheme, payload and SNR in words; the network without a channel is ``no channel``."""
    if point.kind == NO_CHANNEL:
        return "no channel"
    where = "" if point.snr_db is None else f" at {point.snr_db:+g} dB"
    return f"{point.scheme} {point.link}{where}"
