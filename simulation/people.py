"""People to enrol and to look for: the demo's synthetic ones, or a user's folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from airreid.crop_folder import Crop, list_crops, read_folder
from airreid.datasets.check import decoding_errors
from airreid.datasets.folder import file_sample, reasons
from airreid.datasets.readable import Phase
from airreid.datasets.synthetic.population import (
    DEMO_SEED,
    GALLERY_SHOTS,
    QUERY_SHOTS,
    Population,
    write_folder,
)
from airreid.errors import InputError
from airreid.retrieval import Labels


@dataclass(frozen=True)
class People:
    """Gallery and queries as files, with labels that compare between them."""

    name: str
    gallery: list[Crop]
    queries: list[Crop]
    left_out: tuple[str, ...] = ()
    """Files of the folders that cannot be used, each with its reason."""

    def labels(self) -> tuple[Labels, Labels]:
        """Labels of the gallery and of the queries."""
        both = [*self.gallery, *self.queries]
        identities = {name: i for i, name in enumerate(sorted({c.identity for c in both}))}
        cameras = {name: i for i, name in enumerate(sorted({c.camera for c in both}))}

        def labels_of(crops: list[Crop]) -> Labels:
            return Labels(
                np.asarray([identities[c.identity] for c in crops], dtype=np.int64),
                np.asarray([cameras[c.camera] for c in crops], dtype=np.int64),
            )

        return labels_of(self.gallery), labels_of(self.queries)


def picture_count(identities: int) -> int:
    """Counts the pictures that :func:`synthetic` draws."""
    return identities * 2 * max(GALLERY_SHOTS, QUERY_SHOTS)


def from_folders(gallery: Path, queries: Path, phase: Phase) -> People:
    """A user's own images, ``<identity>/<camera>/<image>`` in both folders.

    Every one is decoded; one that cannot be is left out. Raises :class:`InputError` for a folder
    without an image that can be used.
    """
    enrolled, asked = (_usable(folder, phase) for folder in (gallery, queries))
    left_out = (*enrolled.left_out, *asked.left_out)
    return People(f"{gallery} / {queries}", enrolled.crops, asked.crops, left_out)


class _Usable(NamedTuple):
    crops: list[Crop]
    left_out: tuple[str, ...]


def _usable(folder: Path, phase: Phase) -> _Usable:
    listed = list_crops(folder)
    samples = [
        file_sample(listed.root, crop.path, crop.identity, crop.camera) for crop in listed.crops
    ]
    errors = list(decoding_errors(samples, phase(f"looking at {folder}", len(samples))))
    crops = [crop for crop, error in zip(listed.crops, errors, strict=True) if not error]
    if not crops:
        raise InputError(f"{folder}: no image can be read ({errors[0]})")
    return _Usable(crops, (*reasons(listed.left_out), *filter(None, errors)))


def synthetic(identities: int, folder: Path, tick: Callable[[], object] = lambda: None) -> People:
    """Synthetic people that no model has been trained on, rendered into ``folder``.

    The gallery has ``GALLERY_SHOTS`` pictures of each by one camera, the queries
    ``QUERY_SHOTS`` by another.
    """
    shots = max(GALLERY_SHOTS, QUERY_SHOTS)
    population = Population(seed=DEMO_SEED, identities=identities, cameras=2, shots=shots)
    write_folder(population, folder, tick)
    crops = read_folder(folder)

    def by_camera(camera: str, count: int) -> list[Crop]:
        return [crop for crop in crops if crop.camera == camera and int(crop.path.stem) < count]

    return People(
        f"synthetic people (seed {DEMO_SEED})",
        by_camera("cam-0", GALLERY_SHOTS),
        by_camera("cam-1", QUERY_SHOTS),
    )
