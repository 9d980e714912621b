"""The original ``cuhk-03.mat``: HDF5 of references, read one picture at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from airreid.datasets.cuhk03 import ALL, CELLS, NEW_PROTOCOL, PAIRS, Key, Pictures, open_pictures
from airreid.datasets.cuhk03_config import Config, find_config
from airreid.datasets.dataset import DataSet
from airreid.datasets.folder import file_version
from airreid.datasets.reader import BOXES, Boxes, Certainty, Reader, Recognition, Splits
from airreid.datasets.samples import Sample
from airreid.errors import InputError
from airreid.image_formats import HEAD_BYTES, format_of

if TYPE_CHECKING:
    import h5py

FILE = "cuhk-03.mat"
OLD = "old"
"""All splits of the old protocol together."""


class Cuhk03MatReader(Reader):
    """The file that CUHK03 was published as, given itself or lying in the folder."""

    name = "CUHK03, the original"
    looks_for = f"CUHK03's {FILE}"
    protocols = (NEW_PROTOCOL, f"{OLD}-N", ALL)
    families = (OLD,)

    def recognises(self, path: Path) -> Recognition:
        if path.is_file() and path.suffix != ".mat":
            return Recognition(Certainty.NO, "not a .mat file")
        if _mat_file(path).is_file():
            return Recognition(Certainty.SURE, "a .mat file")
        return Recognition(Certainty.NO, f"no {FILE}")

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        mat, kind = _mat_file(path), boxes or BOXES[0]
        return open_pictures(read_mat(mat, kind, find_config(mat.parent, kind)), protocol)

    def splits(self, path: Path, family: str, boxes: Boxes | None) -> Splits:
        mat = _mat_file(path)
        pictures = read_mat(mat, boxes or BOXES[0], None)
        numbers = range(1, len(pictures.testsets) + 1)
        data_sets = tuple(open_pictures(pictures, f"{family}-{number}") for number in numbers)
        if not data_sets:
            raise InputError(f"{mat}: no testsets in it, so no protocol {family}")
        return Splits(family, open_pictures(pictures, ALL)["train"], data_sets)


def _mat_file(path: Path) -> Path:
    """The file itself, or where it lies in a folder."""
    if path.is_file():
        return path
    places = (path / FILE, path / "cuhk03_release" / FILE)
    return next((place for place in places if place.is_file()), places[0])


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise InputError(_unreadable(path, error)) from None


def _unreadable(path: Path, error: Exception) -> str:
    """Says what a file is that is no HDF5 file, by its first bytes."""
    try:
        with path.open("rb") as file:
            kind = format_of(file.read(HEAD_BYTES)).name
    except OSError:
        kind = ""
    if kind in ("an HDF5 file", "an empty file", ""):
        return f"{path}: truncated, or not CUHK03's HDF5 file ({error}); copy it again"
    way_out = f"give CUHK03's {FILE}"
    if kind == "a web page":
        way_out = "it was saved in place of the file; download the file again, logged in"
    elif kind == "a MATLAB file":
        way_out = "the original is of version 7.3, HDF5; give CUHK03's own"
    return f"{path}: {kind}, not CUHK03's HDF5 file; {way_out}"


def read_mat(path: Path, boxes: Boxes, config: Config | None) -> Pictures:
    """Finds the pictures of ``boxes``; they stay in it until they are loaded.

    Raises :class:`InputError` for a truncated file and one of another structure.
    """
    version = file_version(path)
    samples: dict[Key, Sample] = {}
    with _opened(path) as file:
        for pair, reference in enumerate(_references(file, boxes, path), 1):
            people = file[reference]
            if people.ndim != 2 or people.shape[0] != CELLS:
                raise InputError(f"{path}: {boxes}, pair {pair}: expected {CELLS} cells a person")
            for person, cells in enumerate(people[()].T, 1):
                for cell, image in enumerate(cells):
                    if not image or file[image].ndim != 3:  # MATLAB's empty cell
                        continue
                    key = Key(pair, person, 1 if cell < CELLS // 2 else 2, cell + 1)
                    samples[key] = Sample(
                        f"{boxes}/{key.name}",
                        key.identity,
                        key.camera,
                        version,
                        partial(load_picture, path, boxes, key),
                    )
        testsets = [
            frozenset((int(pair), int(person)) for pair, person in file[reference][()].T)
            for reference in _references(file, "testsets", path)
        ]
    return Pictures("CUHK03 original .mat", path, boxes, samples, testsets, config)


def load_picture(path: Path, boxes: Boxes, key: Key) -> Image.Image:
    """Loads one picture, RGB. Raises :class:`InputError` if the file cannot give it."""
    with _opened(path) as file:
        people = file[np.ravel(file[boxes][()])[key.pair - 1]]
        pixels = file[people[key.cell - 1, key.person - 1]][()].T
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InputError(f"{path}: {boxes}/{key.name} is not an RGB picture of bytes")
    return Image.fromarray(np.ascontiguousarray(pixels))


def _references(file: h5py.File, name: str, path: Path) -> list[Any]:
    if name not in file:
        raise InputError(f"{path}: no variable {name}; is it CUHK03's {FILE}?")
    references = list(np.ravel(file[name][()]))
    if name != "testsets" and len(references) != PAIRS:
        raise InputError(f"{path}: {name} has {len(references)} camera pairs, not {PAIRS}")
    return references
