"""Beginning of a study: its features or images, made once, and its cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from airreid.errors import InputError
from airreid.evaluation.features import Phase
from training.runs.place import held
from training.study.compressed import make_compressed, open_compressed
from training.study.crops import make_crops, open_crops
from training.study.features import StudyFeatures, make_features, open_features
from training.study.frozen_cells import cells_of
from training.study.joint_cells import joint_cells
from training.study.joint_settings import JointSettings, quick_joint
from training.study.run import CellSpec, Source
from training.study.settings import StudySettings, quick

S = TypeVar("S")


@dataclass(frozen=True)
class Begun:
    """A study whose cells can be computed; without its source they can be named."""

    source: Source | None
    cells: list[CellSpec]
    note: str = ""
    """Line for the user on what is left out."""


@dataclass(frozen=True)
class Given:
    """Everything that a study is asked for."""

    folder: Path
    """Folder of features or images."""
    data: str | None
    network: Path | None
    preset: str | None
    size: tuple[int, int] | None
    """Height and width of the crops, of a study of joint training."""
    quick: bool

    def both(self, what: str) -> tuple[str, Path]:
        """Returns data and network. Raises :class:`InputError` where one is missing."""
        if self.data is None or self.network is None:
            raise InputError(f"{self.folder}: no {what}; give --data DIR and --network FILE")
        return self.data, self.network

    def made(self, opened: Callable[[Path], S | None], make: Callable[[], S]) -> S:
        """Opens what an earlier call made, or makes it; of several processes, one does."""
        stored = opened(self.folder)
        if stored is None:
            with held(self.folder, wait=True):
                stored = opened(self.folder)
                return make() if stored is None else stored
        return stored


def frozen_study(given: Given, named: bool, phase: Phase) -> Begun:
    """Study A. ``named``: its cells are named only, so nothing is made for that."""
    settings = quick(StudySettings()) if given.quick else StudySettings()
    folder = given.folder
    if named and open_features(folder) is None:
        return Begun(None, cells_of(settings))
    whole = given.data is not None and given.network is not None

    def features() -> StudyFeatures:
        return make_features(folder, *given.both("features"), given.preset, phase)

    source = given.made(open_features, features)
    images = open_compressed(folder)
    if images is None and whole and not named:
        images = given.made(
            open_compressed,
            lambda: make_compressed(source, *given.both("images"), given.preset, phase),
        )
    note = "no image anchors: give --data DIR and --network FILE to compute them"
    return Begun(
        source, cells_of(settings, images, source.bundle()), note if images is None else ""
    )


def joint_study(given: Given, named: bool, phase: Phase) -> Begun:
    """Study B. ``named``: its cells are named only, so nothing is made for that."""
    if given.network is not None and given.network.is_dir():
        raise InputError(f"{given.network}: a folder; study joint trains a network's ONNX file")
    settings = quick_joint(JointSettings()) if given.quick else JointSettings()
    if named and open_crops(given.folder) is None:
        return Begun(None, joint_cells(settings, None))
    source = given.made(
        open_crops,
        lambda: make_crops(given.folder, *given.both("images"), given.preset, given.size, phase),
    )
    stored = tuple(source.about["size"])
    if given.size not in (None, stored):
        raise InputError(
            f"{given.folder}: images of {stored[0]}x{stored[1]}; give that --resize or another "
            "folder"
        )
    return Begun(source, joint_cells(settings, source))
