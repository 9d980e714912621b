"""Cells of a study, and how they are computed: one by one, in any number of processes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from airreid import __version__
from airreid.errors import InputError
from airreid.evaluation.study.cells import (
    Cell,
    Latents,
    StudyCurve,
    finished,
    key_of,
    read_cell,
    write_cell,
)
from training.engine.distributed import Distributed, device_of
from training.engine.progress import Report
from training.recipes.base import Engine
from training.study.training import StudyContext


@dataclass(frozen=True)
class Outcome:
    """Result of a cell, without what names it."""

    curves: Sequence[StudyCurve] = ()
    latents: Sequence[Latents] = ()
    chosen: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


Measure = Callable[[Any], Outcome]
"""Measures on the test: of study A :class:`RetrievalFeatures`, of B images."""
Fit = Callable[[Any, StudyContext], Measure]
"""Fits on the people to train on: of study A :class:`TrainingPeople`, of B images."""


class Source(Protocol):
    """Everything that a study's cells are fitted and tested on, in files apart."""

    @property
    def about(self) -> dict[str, Any]:
        """Data set, protocol, network and digests."""

    @property
    def digests(self) -> dict[str, str]:
        """Digests that name it."""

    def training(self) -> Any:
        """Reads the people to train on."""

    def test(self) -> Any:
        """Reads the test."""


@dataclass(frozen=True)
class CellSpec:
    """One cell: what it is computed from, and how long that takes beside the others."""

    name: str
    settings: dict[str, Any]
    cost: float
    """Relative; cells are dealt to shards by it."""
    fit: Fit | None = None
    """Fits on the people to train on; the result measures on the test, which it is given."""
    follow: Callable[[dict[str, Cell]], Outcome] | None = None
    """Computes the cell from those that it follows."""
    follows: tuple[str, ...] = ()


def chosen_cells(
    specs: Sequence[CellSpec], only: Sequence[str], shard: tuple[int, int]
) -> list[CellSpec]:
    """Returns the cells whose names fit one of the patterns, and of these a shard's part.

    The costliest cells are dealt first, each to the shard with least to do. Raises
    :class:`InputError` for patterns that fit none.
    """
    chosen = [spec for spec in specs if not only or any(fnmatchcase(spec.name, p) for p in only)]
    if not chosen:
        raise InputError(f"--only {' '.join(only)}: no such cell; there are {_names(specs)}")
    loads = [0.0] * shard[1]
    mine = set()
    for spec in sorted(chosen, key=lambda spec: -spec.cost):
        least = min(range(shard[1]), key=lambda place: (loads[place], place))
        loads[least] += spec.cost
        if least == shard[0]:
            mine.add(spec.name)
    return [spec for spec in chosen if spec.name in mine]


def _names(specs: Sequence[CellSpec]) -> str:
    return ", ".join(spec.name for spec in specs)


@dataclass(frozen=True)
class StudyRun:
    """Folder of a study, its features and the machine that it is computed on."""

    out: Path
    work: Path
    """Folder of checkpoints, which a finished cell leaves empty."""
    features: Source
    engine: Engine
    report: Report
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """Keys of cells, by name, that others have computed."""

    def path(self, name: str) -> Path:
        """Returns the file of a cell."""
        return self.out / "cells" / f"{name}.json"

    def key(self, spec: CellSpec) -> str:
        """Returns the digest of everything that a cell is computed from."""
        return key_of({"features": self.features.digests, "settings": spec.settings})

    def missing(self, specs: Sequence[CellSpec]) -> list[CellSpec]:
        """Returns the cells that are not in the folder, or of other features or settings."""
        return [spec for spec in specs if not finished(self.path(spec.name), self.key(spec))]

    def unfinished(self, every: Sequence[CellSpec]) -> list[CellSpec]:
        """Returns the cells of a study that have to be computed, of all that it has.

        Those that others have computed do not, unless one has to that follows them: it goes on
        with messages or networks, which are not among results.
        """
        missing = self.missing(every)
        shared = {spec.name for spec in missing if self.elsewhere.get(spec.name) == self.key(spec)}
        followed = {name for spec in missing if spec.name not in shared for name in spec.follows}
        return [spec for spec in missing if spec.name not in shared - followed]

    def compute(self, spec: CellSpec) -> Cell:
        """Computes a cell and writes its file. A training that was stopped goes on."""
        started = time.monotonic()
        device = device_of(self.engine.device)
        work = self.work / f"{spec.name}-{self.key(spec)[:8]}"
        if spec.follow is not None:
            followed = {name: read_cell(self.path(name)) for name in spec.follows}
            outcome = spec.follow(followed)
        else:
            assert spec.fit is not None
            work.mkdir(parents=True, exist_ok=True)
            context = StudyContext(
                self.engine, work, Distributed(device), self.report, self.out / "networks"
            )
            measure = spec.fit(self.features.training(), context)
            outcome = measure(self.features.test())
        cell = Cell(
            name=spec.name,
            key=self.key(spec),
            settings=spec.settings,
            seconds=round(time.monotonic() - started, 1),
            device=device.type,
            versions=_versions(),
            curves=tuple(outcome.curves),
            latents=tuple(outcome.latents),
            chosen=outcome.chosen,
            facts=outcome.facts,
        )
        write_cell(cell, self.path(spec.name))
        shutil.rmtree(work, ignore_errors=True)
        return cell


def _versions() -> dict[str, str]:
    packages = ("torch", "numpy", "scipy", "onnxruntime")
    return {"airreid": __version__, **{name: version(name) for name in packages}}
