"""Codes fitted on one data set and tested on another: the worth of a code at another site."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import BackboneInfo, Bundle
from airreid.codecs.selection import Choice, HeldOut, Wanted, select
from airreid.datasets.dataset import DataSet
from airreid.datasets.samples import ImageSet
from airreid.errors import InputError
from airreid.evaluation.evaluate import Extract, Settings, about, evaluate
from airreid.evaluation.features import Extracted, Phase, extract_test, features_of
from airreid.evaluation.points import Point, code_points
from airreid.retrieval import Labels

KIND = "jscc-fc"
"""Kind of the codes that are fitted: symbols are compared as received."""


@dataclass(frozen=True)
class FittedCode:
    """A code fitted on the first data set's features by one backbone."""

    scheme: str
    """``jscc-fc-fitted-B``."""
    backbone: str
    choice: Choice
    split: HeldOut | None
    """People of the first data set that the code was chosen on; None with too few."""

    @property
    def words(self) -> str:
        """The choice and on whom it was made, in a line."""
        if self.split is None:
            return f"{self.choice.words}; too few people seen by two cameras to choose on"
        cameras = f" and {self.split.cameras} cameras" if self.split.cameras else ""
        return f"{self.choice.words}; chosen on {self.split.people} people{cameras} held out"


def check_other_people(fit: DataSet, test: DataSet) -> None:
    """Raises :class:`InputError` where the people of the test are fitted on."""
    shared = shared_images(fit["train"], test)
    if shared:
        raise InputError(
            f"--fit-on: {len(shared)} images of the test are fitted on as well ({shared[0]}, ...); "
            "give another data set, or a --protocol that keeps people out, as 'holdout'"
        )


def shared_images(images: ImageSet, test: DataSet) -> list[str]:
    """Names of images of a test that are among some others, told by name, size and time."""
    known = {(sample.name, sample.version) for sample in images.samples}
    tested = (sample for name in ("query", "gallery") for sample in test[name].samples)
    return [sample.name for sample in tested if (sample.name, sample.version) in known]


def evaluate_fitted(
    bundle: Bundle, fit: DataSet, data: DataSet, settings: Settings, phase: Phase
) -> tuple[list[Point], list[FittedCode]]:
    """Measures the bundle's schemes on ``data``, and PCA and codes fitted on ``fit``.

    For every bandwidth of the schemes a code is chosen and fitted in closed form on the features
    of the subset ``train`` of ``fit``, as ``airreid adopt`` does. Raises :class:`InputError` for
    people that are in both and for a bandwidth that the features do not carry.
    """
    check_other_people(fit, data)
    images = fit["train"]
    labels = Labels(images.labels(), images.cameras())
    spaces: dict[str, tuple[BackboneInfo, Extracted, NDArray[np.float32]]] = {}

    def extract(backbone: BackboneInfo, data: DataSet) -> Extracted:
        tick = phase(f"features of {len(images)} images to fit on", len(images))
        features = features_of(bundle, backbone, images, settings.cache, tick)
        extracted = fitted_on(bundle, features, settings, phase)(backbone, data)
        spaces[backbone.space_id] = backbone, extracted, features
        return extracted

    points = evaluate(bundle, data, settings, phase, extract)
    infos = [bundle.scheme(name) for name in settings.schemes] or list(bundle.manifest.schemes)
    if not infos:
        raise InputError(f"{bundle.path}: no schemes, so no bandwidths to fit codes for")
    codes = []
    for space, (backbone, extracted, features) in spaces.items():
        bandwidths = sorted({info.bandwidth for info in infos if info.space_id == space})
        wanted = [Wanted(bandwidth) for bandwidth in bandwidths]
        tick = phase("codes", len(wanted))
        choices, split = select(features, labels, wanted, 0, tick)
        for wish in wanted:
            name = f"{KIND}-fitted-{wish.bandwidth}"
            code = FittedCode(name, backbone.id, choices[wish], split)
            codes.append(code)
            measured = code_points(
                bundle.bundle_id,
                code.choice.code,
                (name, KIND),
                extracted.test,
                settings.snrs_db,
                range(settings.seeds),
                phase(name, len(settings.snrs_db)),
                settings.channel,
            )
            points += [replace(point, backbone=backbone.id) for point in measured]
    return points, codes


def fitted_on(
    bundle: Bundle, features: NDArray[np.float32], settings: Settings, phase: Phase
) -> Extract:
    """Extraction of a test whose linear baseline is fitted on features (N, D) from elsewhere."""

    def extract(backbone: BackboneInfo, data: DataSet) -> Extracted:
        test = extract_test(bundle, backbone, data, settings.cache, 0, phase).test
        return Extracted(test, features if settings.pca_images else features[:0])

    return extract


def about_fitted(
    bundle: Bundle, data: DataSet, settings: Settings, images: ImageSet, label: str
) -> dict[str, Any]:
    """Describes a result on ``data`` of codes fitted on images of another data set."""
    description = about([bundle], data, replace(settings, pca_images=0))
    if settings.pca_images:
        description["pca"] = f"fitted on {len(images)} images of {label}"
    description["fitted_on"] = {
        "data": label,
        "images": len(images),
        "identities": len(images.identities),
        "digest": images.digest(),
    }
    return description
