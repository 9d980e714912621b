"""An adopted bundle at other sites than the one that its codes were fitted at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import Bundle
from airreid.datasets.dataset import DataSet
from airreid.datasets.samples import ImageSet
from airreid.errors import InputError
from airreid.evaluation.evaluate import Settings, evaluate
from airreid.evaluation.features import Phase
from airreid.evaluation.fitted import about_fitted, fitted_on, shared_images
from airreid.evaluation.points import Point


@dataclass(frozen=True)
class SiteResult:
    """Accuracy of the bundle on people and cameras of another place."""

    label: str
    points: tuple[Point, ...]
    about: dict[str, Any]


def check_site(data: DataSet) -> None:
    """Raises :class:`InputError` for a data set that nobody can be searched in."""
    if "query" not in data or "gallery" not in data:
        raise InputError(f"--also {data.label}: has no test; give <identity>/<camera>/<image>")
    if len(data.unanswerable()) == len(data["query"].identities):
        raise InputError(f"--also {data.label}: nobody there was seen by two cameras")


def check_elsewhere(data: DataSet, images: ImageSet) -> None:
    """Raises :class:`InputError` for a data set whose people are among those fitted on."""
    shared = shared_images(images, data)
    if shared:
        raise InputError(
            f"--also {data.label}: {len(shared)} of its images are fitted on ({shared[0]}, ...); "
            "give people of another place"
        )


def measure_site(
    bundle: Bundle,
    features: NDArray[np.float32],
    images: ImageSet,
    data: DataSet,
    settings: Settings,
    phase: Phase,
) -> SiteResult:
    """Measures the bundle's schemes at another site, beside PCA.

    ``features`` (N, D) are those of ``images``, which the schemes and PCA are fitted on.
    """
    extract = fitted_on(bundle, features, settings, phase)
    points = evaluate(bundle, data, settings, phase, extract)
    description = about_fitted(bundle, data, settings, images, images.name)
    return SiteResult(data.label, tuple(points), description)
