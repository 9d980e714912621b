"""Synthetic people as data sets, and as folders of PNG files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated

from pydantic import Field

from airreid.datasets.dataset import DataSet
from airreid.datasets.samples import ImageSet, Sample
from airreid.datasets.synthetic.cameras import RENDERER, render
from airreid.errors import InputError
from airreid.validation import FrozenModel


class Population(FrozenModel):
    """A block of consecutive identities of one seed, and the cameras that saw them.

    Two populations of different seeds share neither people nor cameras.
    """

    seed: Annotated[int, Field(ge=0)]
    identities: Annotated[int, Field(ge=1, le=1_000_000)]
    cameras: Annotated[int, Field(ge=1, le=64)]
    shots: Annotated[int, Field(ge=1, le=1000)]
    """Pictures of each identity by each camera."""

    def pictures(self) -> Iterator[tuple[int, int, int]]:
        """Yields (identity, camera, shot) of every picture."""
        return product(range(self.identities), range(self.cameras), range(self.shots))

    def __len__(self) -> int:
        return self.identities * self.cameras * self.shots


DEMO_SEED = 2026
"""Population that ``airreid simulate`` and every reported figure draw from. No recipe
trains on it."""


def image_set(population: Population) -> ImageSet:
    """Lists the population as samples that render themselves when loaded."""
    return ImageSet(
        name=f"synthetic(seed={population.seed}, identities={population.identities})",
        samples=tuple(
            Sample(
                name=f"synthetic:{population.seed}/{i}/{c}/{k}",
                identity=f"person-{i:04d}",
                camera=f"cam-{c}",
                version=str(RENDERER),
                load=partial(render, population.seed, i, c, k),
            )
            for i, c, k in population.pictures()
        ),
    )


def write_folder(
    population: Population, out: Path, tick: Callable[[], object] = lambda: None
) -> int:
    """Renders the population to ``out/<identity>/<camera>/<shot>.png``; returns the count."""
    count = 0
    for identity, camera, shot in population.pictures():
        folder = out / f"person-{identity:04d}" / f"cam-{camera}"
        folder.mkdir(parents=True, exist_ok=True)
        render(population.seed, identity, camera, shot).save(folder / f"{shot:02d}.png")
        count += 1
        tick()
    return count


TRAIN = Population(seed=1, identities=2000, cameras=8, shots=1)
CODEC = Population(seed=2, identities=600, cameras=40, shots=1)
GALLERY_SHOTS, QUERY_SHOTS = 2, 3
DEMO_IDENTITIES = 100
_DEMO = re.compile(r"^demo(?:-([1-9][0-9]{0,5}))?$")


def open_synthetic(protocol: str | None = None) -> DataSet:
    """Opens the demo's people, as ``airreid simulate`` draws them: nobody trains on them.

    Protocol ``demo``: 100 people, two gallery pictures of each by one camera, three
    queries by another; ``demo-N``: N people. ``train`` and ``codec`` are the people
    that the demo bundle was trained on. Raises :class:`InputError` for another protocol.
    """
    match = _DEMO.match(protocol or "demo")
    if match is None:
        raise InputError(f"synthetic: no protocol {protocol!r}; there are: demo, demo-N")
    count = int(match[1] or DEMO_IDENTITIES)
    shots = max(GALLERY_SHOTS, QUERY_SHOTS)
    people = image_set(Population(seed=DEMO_SEED, identities=count, cameras=2, shots=shots))
    gallery: list[Sample] = []
    query: list[Sample] = []
    for sample in people.samples:
        shot = int(sample.name.rpartition("/")[2])
        first = sample.camera == "cam-0"
        if shot < (GALLERY_SHOTS if first else QUERY_SHOTS):
            (gallery if first else query).append(sample)
    return DataSet(
        name="synthetic people",
        form="drawn by AirReID",
        protocol=match[0],
        protocols=("demo", "demo-N"),
        subsets={
            "train": image_set(TRAIN),
            "codec": image_set(CODEC),
            "query": ImageSet(f"{people.name} query", tuple(query)),
            "gallery": ImageSet(f"{people.name} gallery", tuple(gallery)),
        },
    )
