"""Reader of one form of data set: recognises a path and opens it under a protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal

from airreid.datasets.dataset import DataSet
from airreid.datasets.samples import ImageSet

Boxes = Literal["labeled", "detected"]
"""Crops cut out by hand or by a detector. The two are never mixed."""
BOXES: tuple[Boxes, ...] = ("labeled", "detected")


class Certainty(IntEnum):
    """Certainty of a reader that a path is of its form."""

    NO = 0
    POSSIBLE = 1
    """Fits, as other forms may as well."""
    SURE = 2
    """Has what no other form has."""


@dataclass(frozen=True)
class Recognition:
    """Answer of a reader that is asked about a path."""

    certainty: Certainty
    reason: str
    """Few words on what was seen or missed: ``no list_train.txt``."""


@dataclass(frozen=True)
class Splits:
    """Family of protocols: many splits of the same images, whose results are averaged."""

    family: str
    """Name that stands for all of them: ``old`` for ``old-1`` to ``old-20``."""
    everybody: ImageSet
    """All images that the splits draw from."""
    data_sets: tuple[DataSet, ...]
    """One for each split, in order."""


class Reader(ABC):
    """One form in which data sets lie on disk.

    Register an instance with :func:`airreid.datasets.register_reader`.
    """

    name: str
    """Form, as ``airreid data forms`` and error messages call it."""
    looks_for: str
    """Files and folders that it is recognised by, in a few words."""
    protocols: tuple[str, ...]
    """Protocols that such a data set may have, the usual one first; N stands for a number."""
    looks_for_files: bool = True
    """Whether it is recognised by what lies at a path, not by a word in its place."""
    certain_of_people: bool = False
    """Whether it takes the names of folders for people, whatever they are called."""
    families: tuple[str, ...] = ()
    """Protocols that stand for many splits, see :meth:`splits`."""

    @abstractmethod
    def recognises(self, path: Path) -> Recognition:
        """Looks at names of files and folders only. ``path`` may be of any form, or missing."""

    @abstractmethod
    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        """Opens ``path`` under a protocol, its first one for None; images are not read.

        ``boxes``: which crops to take where a data set has two kinds, None for the only
        ones. Raises :class:`airreid.errors.InputError` for a protocol or boxes that the
        path has not, and naming a file that does not fit.
        """

    def splits(self, path: Path, family: str, boxes: Boxes | None) -> Splits:
        """Opens every split of one of ``families``. Raises
        :class:`airreid.errors.InputError` where the path has none."""
        raise NotImplementedError(f"{self.name}: no splits of {family}")
