"""Synthetic people as data sets, and as folders of PNG files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from training.data.samples import ImageSet, Sample
from training.synthetic.cameras import RENDERER, render


class Population(BaseModel):
    """A block of consecutive identities of one seed, and the cameras that saw them.

    Two populations of different seeds share neither people nor cameras.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Annotated[int, Field(ge=0)]
    identities: Annotated[int, Field(ge=1, le=1_000_000)]
    cameras: Annotated[int, Field(ge=1, le=64)]
    shots: Annotated[int, Field(ge=1, le=1000)]
    """Pictures of each identity by each camera."""

    def pictures(self) -> Iterator[tuple[int, int, int]]:
        """(identity, camera, shot) of every picture."""
        return product(range(self.identities), range(self.cameras), range(self.shots))

    def __len__(self) -> int:
        return self.identities * self.cameras * self.shots


DEMO_SEED = 2026
"""Population that ``airreid simulate`` and every reported figure draw from. No recipe
trains on it."""


def image_set(population: Population) -> ImageSet:
    """The population as samples that render themselves when loaded."""
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
