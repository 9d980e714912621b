"""Images of a study of joint training: people to train on apart from those to test on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.adopt.images import open_images
from airreid.bundle import BackboneInfo, Bundle, load_bundle
from airreid.datasets.samples import ImageSet
from airreid.errors import InputError
from airreid.evaluation.features import Phase
from airreid.retrieval import Labels
from training.study.features import (
    NETWORK,
    StudyFolder,
    adopted,
    digest_of,
    protocol_of,
    stored_about,
)

Crops = NDArray[np.uint8]
_TRAINING, _TEST, _ABOUT = "training-crops.npz", "test-crops.npz", "crops.json"


@dataclass(frozen=True)
class LabelledCrops:
    """Crops uint8 (N, H, W, 3), with their labels."""

    crops: Crops
    labels: Labels


@dataclass(frozen=True)
class SearchCrops:
    """Search of the people who are tested."""

    queries: LabelledCrops
    gallery: LabelledCrops


@dataclass(frozen=True)
class StudyCrops(StudyFolder):
    """Folder of a study's images and network, whose digests name the network's space as well."""

    def network(self) -> Bundle:
        """Returns the network as a bundle, for crops of the study's size."""
        return load_bundle(self.folder / NETWORK)

    def training(self) -> LabelledCrops:
        """Reads the people to train on."""
        return _labelled(self.read(_TRAINING), "training")

    def test(self) -> SearchCrops:
        """Reads queries and gallery of the test."""
        arrays = self.read(_TEST)
        return SearchCrops(_labelled(arrays, "query"), _labelled(arrays, "gallery"))


def _labelled(arrays: dict[str, NDArray[Any]], part: str) -> LabelledCrops:
    labels = Labels(arrays[f"{part}_identity"], arrays[f"{part}_camera"])
    return LabelledCrops(arrays[part], labels)


def open_crops(folder: Path) -> StudyCrops | None:
    """Opens the images of an earlier call; None where there are none."""
    about = stored_about(folder / _ABOUT)
    return None if about is None else StudyCrops(folder, about)


def make_crops(
    folder: Path,
    data: str,
    network: Path,
    preset: str | None,
    size: tuple[int, int] | None,
    phase: Phase,
) -> StudyCrops:
    """Decodes a data set's images at the size that the network takes, and stores them.

    ``size``: height and width, in place of what the network declares. Raises :class:`InputError`
    for data that have no test of other people than those to train on, and for a network that does
    not take the size.
    """
    images = open_images(data)
    if images.test is None or images.labels is None:
        raise InputError(f"{data}: {images.why_no_test or 'nobody is known'}; the study needs both")
    backbone = adopted(folder, images, network, preset, phase, size).backbone
    query_labels, gallery_labels = images.test.test_labels()
    training = _arrays("training", images.fit, images.labels, backbone, phase)
    test = {
        **_arrays("query", images.test["query"], query_labels, backbone, phase),
        **_arrays("gallery", images.test["gallery"], gallery_labels, backbone, phase),
    }
    about = {
        **protocol_of(images, network),
        "size": [backbone.height, backbone.width],
        "digests": {
            _TRAINING: digest_of(training),
            _TEST: digest_of(test),
            NETWORK: backbone.space_id,
        },
    }
    np.savez(folder / _TRAINING, **training)  # type: ignore[arg-type]
    np.savez(folder / _TEST, **test)  # type: ignore[arg-type]
    (folder / _ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return StudyCrops(folder, about)


def _arrays(
    part: str, images: ImageSet, labels: Labels, backbone: BackboneInfo, phase: Phase
) -> dict[str, NDArray[Any]]:
    tick = phase(f"images: {part}", len(images))
    crops = np.empty((len(images), backbone.height, backbone.width, 3), np.uint8)
    for row, sample in enumerate(images.samples):
        crops[row] = backbone.crop(sample.load())
        tick()
    return {part: crops, f"{part}_identity": labels.identity, f"{part}_camera": labels.camera}
