"""Folders ``bounding_box_train``, ``query``, ``bounding_box_test``: Market-1501, CUHK03-NP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airreid.datasets.cuhk03 import (
    NEW,
    NEW_PROTOCOL,
    any_boxes_folder,
    boxes_folder,
    known_boxes,
)
from airreid.datasets.dataset import DISTRACTOR, Count, DataSet, pick
from airreid.datasets.folder import file_sample
from airreid.datasets.reader import Boxes, Certainty, Reader, Recognition
from airreid.datasets.samples import ImageSet, Sample
from airreid.errors import InputError
from airreid.images import SUFFIXES

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
_MARKET = re.compile(r"^(-1|\d{4})_c(\d)s\d_\d+_\d+$")
_NP = re.compile(r"^(\d{4})_c([12])_\d+$")
_MARKET_COUNTS = {
    "train": Count(12936, 751),
    "query": Count(3368, 750),
    "gallery": Count(15913, 750),
}
MARKET_JUNK = 3819
"""Gallery images of identity -1, which are neither right nor wrong: 19732 files in all."""


@dataclass(frozen=True)
class _Names:
    pattern: re.Pattern[str]
    data: str
    example: str


_MARKET_NAMES = _Names(_MARKET, "Market-1501", "0002_c1s1_000451_03.jpg")
_NP_NAMES = _Names(_NP, "CUHK03-NP", "0001_c1_1.png")


class Market1501Reader(Reader):
    """Market-1501's three folders."""

    name = "Market-1501"
    looks_for = f"{', '.join(FOLDERS.values())} with files like {_MARKET_NAMES.example}"
    protocols = ("market-1501",)

    def recognises(self, path: Path) -> Recognition:
        return _recognised(path, _MARKET_NAMES, otherwise=Certainty.NO)

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        return open_market(path, protocol)


class Cuhk03NpReader(Reader):
    """The three folders that CUHK03's new protocol was published with."""

    name = "CUHK03-NP folders"
    looks_for = f"{', '.join(FOLDERS.values())} with files like {_NP_NAMES.example}"
    protocols = (NEW_PROTOCOL,)

    def recognises(self, path: Path) -> Recognition:
        folder = any_boxes_folder(path)
        return _recognised(folder, _NP_NAMES, otherwise=Certainty.POSSIBLE)

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        folder, kind = boxes_folder(path, boxes)
        if not _images(folder / FOLDERS["train"]):
            raise InputError(f"{folder / FOLDERS['train']}: no images")
        return open_np(folder, known_boxes(kind, folder), protocol)


def _recognised(folder: Path, names: _Names, otherwise: Certainty) -> Recognition:
    """Whether the three folders are there, and ``otherwise`` if the first image of
    ``bounding_box_train`` is not called so."""
    missing = [below for below in FOLDERS.values() if not (folder / below).is_dir()]
    if missing:
        return Recognition(Certainty.NO, f"no folder {missing[0]}")
    images = _images(folder / FOLDERS["train"])
    if images and names.pattern.match(_stem(images[0])):
        return Recognition(Certainty.SURE, f"files like {names.example}")
    return Recognition(otherwise, f"no file in {FOLDERS['train']} like {names.example}")


def open_market(folder: Path, protocol: str | None = None) -> DataSet:
    """Opens Market-1501. Junk (identity -1) is left out, distractors (0) stay in the gallery."""
    name = "Market-1501"
    chosen = pick(protocol, ("market-1501",), str(folder))
    subsets, junk = _read(folder, _MARKET_NAMES)
    expected_files = 0 if junk == MARKET_JUNK else MARKET_JUNK
    part = f"{junk} of {expected_files} junk images" if expected_files else ""
    return _data_set(name, "Market-1501 folders", chosen, subsets, _MARKET_COUNTS, part)


def open_np(folder: Path, boxes: Boxes, protocol: str | None = None) -> DataSet:
    """Opens CUHK03 as the folders that the new protocol was published with."""
    chosen = pick(protocol, (NEW_PROTOCOL,), str(folder))
    subsets, _ = _read(folder, _NP_NAMES)
    name = f"CUHK03 {boxes}"
    return _data_set(name, "CUHK03-NP folders", chosen, subsets, NEW[boxes])


def _data_set(
    name: str,
    form: str,
    protocol: str,
    subsets: Mapping[str, list[Sample]],
    expected: Mapping[str, Count],
    part: str = "",
) -> DataSet:
    return DataSet(
        name=name,
        form=form,
        protocol=protocol,
        protocols=(protocol,),
        subsets={key: ImageSet(f"{name} {key}", tuple(value)) for key, value in subsets.items()},
        expected=expected,
        part=part,
    )


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def _stem(path: Path) -> str:
    return path.name.split(".")[0]


def _read(folder: Path, names: _Names) -> tuple[dict[str, list[Sample]], int]:
    """Samples of each subset, and how many gallery images are junk."""
    subsets: dict[str, list[Sample]] = {}
    junk = 0
    for part, below in FOLDERS.items():
        subsets[part] = []
        for path in _images(folder / below):
            matched = names.pattern.match(_stem(path))
            if matched is None:
                raise InputError(f"{path}: not called as in {names.data}, like {names.example}")
            person, camera = matched.groups()
            if person == "-1" or (person == "0000" and part != "gallery"):
                junk += part == "gallery"
                continue
            identity = DISTRACTOR if person == "0000" else person
            subsets[part].append(file_sample(folder, path, identity, f"c{camera}"))
    return subsets, junk
