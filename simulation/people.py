"""Who is enrolled and who walks past: the demo's synthetic people, or a user's folders."""

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
        """(gallery, queries)"""
        both = [*self.gallery, *self.queries]
        identities = {name: i for i, name in enumerate(sorted({c.identity for c in both}))}
        cameras = {name: i for i, name in enumerate(sorted({c.camera for c in both}))}

        def of(crops: list[Crop]) -> Labels:
            return Labels(
                np.asarray([identities[c.identity] for c in crops], dtype=np.int64),
                np.asarray([cameras[c.camera] for c in crops], dtype=np.int64),
            )

        return of(self.gallery), of(self.queries)


def pictures(identities: int) -> int:
    """How many pictures :func:`synthetic` draws."""
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
    seen = [int(crop.path.stem) for crop in crops]
    return People(
        f"synthetic people (seed {DEMO_SEED})",
        [c for c, s in zip(crops, seen, strict=True) if c.camera == "cam-0" and s < GALLERY_SHOTS],
        [c for c, s in zip(crops, seen, strict=True) if c.camera == "cam-1" and s < QUERY_SHOTS],
    )
