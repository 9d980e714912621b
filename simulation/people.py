"""People to enrol and to look for: the demo's synthetic ones, or a user's folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from airreid.crop_folder import Crop, read_folder
from airreid.datasets.synthetic.population import (
    DEMO_SEED,
    GALLERY_SHOTS,
    QUERY_SHOTS,
    Population,
    write_folder,
)
from airreid.retrieval import Labels


@dataclass(frozen=True)
class People:
    """Gallery and queries as files, with labels that compare between them."""

    name: str
    gallery: list[Crop]
    queries: list[Crop]

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


def from_folders(gallery: Path, queries: Path) -> People:
    """A user's own images, ``<identity>/<camera>/<image>`` in both folders."""
    return People(f"{gallery} / {queries}", read_folder(gallery), read_folder(queries))


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
