"""Folders ``bounding_box_train``, ``query``, ``bounding_box_test``: Market-1501, CUHK03-NP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
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
from airreid.datasets.reader import BOXES, Boxes, Certainty, Reader, Recognition
from airreid.datasets.samples import ImageSet, Sample
from airreid.errors import InputError
from airreid.picture_files import named_files

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
_MARKET = re.compile(r"^(-1|\d{4,})_c(\d+)s\d+_\d+_\d+$")
_NP = re.compile(r"^(\d{4})_c([12])_\d+$")
_DUKE = re.compile(r"^(\d{4})_c(\d)_f\d+$")
_OTHER = re.compile(r"^(-1|\d+)_c(\d+)[^0-9]?.*$")
"""Names of sets that others have put into these folders: identity, then camera."""
MARKET_CAMERAS = 6
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
_OTHER_NAMES = _Names(_OTHER, "Market-1501's folders", "0001_c012_3.jpg")
_EVERY_NAMES = (_MARKET_NAMES, _NP_NAMES)


class Market1501Reader(Reader):
    """Market-1501's three folders."""

    name = "Market-1501"
    looks_for = f"{', '.join(FOLDERS.values())} with files like {_MARKET_NAMES.example}"
    protocols = ("market-1501",)

    def recognises(self, path: Path) -> Recognition:
        return _recognised(path, _MARKET_NAMES)

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        return open_market(path, protocol)


class Cuhk03NpReader(Reader):
    """The three folders that CUHK03's new protocol was published with."""

    name = "CUHK03-NP folders"
    looks_for = f"{', '.join(FOLDERS.values())} with files like {_NP_NAMES.example}"
    protocols = (NEW_PROTOCOL,)

    def recognises(self, path: Path) -> Recognition:
        return _recognised(any_boxes_folder(path), _NP_NAMES)

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        folder, kind = boxes_folder(path, boxes)
        if not named_files(folder / FOLDERS["train"]).images:
            raise InputError(f"{folder / FOLDERS['train']}: no images")
        return open_np(folder, known_boxes(kind or _boxes_by_count(folder), folder), protocol)


class BoundingBoxReader(Reader):
    """The three folders with names of neither: sets that others have put into them."""

    name = "Market-1501's folders, other names"
    looks_for = f"{', '.join(FOLDERS.values())} with files like {_OTHER_NAMES.example}"
    protocols = ("market-1501",)

    def recognises(self, path: Path) -> Recognition:
        if _missing(path):
            return Recognition(Certainty.NO, f"no folder {_missing(path)}")
        names = _names_in(path)
        if any(_likes(names, known.pattern) for known in _EVERY_NAMES):
            return Recognition(Certainty.NO, "files of a set that is known")
        return Recognition(Certainty.POSSIBLE, "the three folders, with names of no set")

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        names = _names_in(path)
        if not names:
            raise InputError(f"{path / FOLDERS['train']}: no images")
        if _likes(names, _DUKE):
            raise InputError(
                f"{path}: DukeMTMC-reID, which its authors have withdrawn and which is not read; "
                "of images that you may use make folders <identity>/<camera>/<image>"
            )
        if not _likes(names, _OTHER):
            raise InputError(
                f"{path}: the folders of Market-1501 and CUHK03-NP with names of neither, such as "
                f"{names[0]!r}; names are like {_MARKET_NAMES.example} and {_NP_NAMES.example}, or "
                "make folders <identity>/<camera>/<image>"
            )
        chosen = pick(protocol, self.protocols, str(path))
        read = _read(path, _OTHER_NAMES)
        name = f"folder {path.resolve().name}"
        return _data_set(name, self.name, chosen, read, {})


def _missing(folder: Path) -> str:
    return next((below for below in FOLDERS.values() if not (folder / below).is_dir()), "")


def _names_in(folder: Path) -> list[str]:
    """Names of the images to train on, without suffixes."""
    return [_stem(path) for path in named_files(folder / FOLDERS["train"]).images]


def _likes(names: list[str], pattern: re.Pattern[str]) -> bool:
    """Whether most names are of a pattern: a few wrong files change nothing."""
    return 2 * sum(pattern.match(name) is not None for name in names) > len(names)


def _recognised(folder: Path, names: _Names) -> Recognition:
    """Whether the three folders are there, and most images of the first called so."""
    if missing := _missing(folder):
        return Recognition(Certainty.NO, f"no folder {missing}")
    if _likes(_names_in(folder), names.pattern):
        return Recognition(Certainty.SURE, f"files like {names.example}")
    return Recognition(Certainty.NO, f"few files in {FOLDERS['train']} like {names.example}")


def _boxes_by_count(folder: Path) -> Boxes | None:
    """Tells the version of a whole set by its number of training images."""
    count = len(named_files(folder / FOLDERS["train"]).images)
    return next((boxes for boxes in BOXES if NEW[boxes]["train"].images == count), None)


def open_market(folder: Path, protocol: str | None = None) -> DataSet:
    """Opens Market-1501. Junk (identity -1) is left out, distractors (0) stay in the gallery."""
    name = "Market-1501"
    chosen = pick(protocol, ("market-1501",), str(folder))
    read = _read(folder, _MARKET_NAMES)
    cameras = {s.camera for samples in read.subsets.values() for s in samples}
    digits = {len(s.identity) for s in read.subsets["train"]}
    if digits - {4} or cameras - {f"c{number}" for number in range(1, MARKET_CAMERAS + 1)}:
        name = f"folder {folder.resolve().name}"  # another set, named in its way
        return _data_set(name, "folders and names of Market-1501", chosen, read, {})
    expected_files = 0 if read.junk == MARKET_JUNK else MARKET_JUNK
    part = f"{read.junk} of {expected_files} junk images" if expected_files else ""
    return _data_set(name, "Market-1501 folders", chosen, read, _MARKET_COUNTS, part)


def open_np(folder: Path, boxes: Boxes, protocol: str | None = None) -> DataSet:
    """Opens CUHK03 as the folders that the new protocol was published with."""
    chosen = pick(protocol, (NEW_PROTOCOL,), str(folder))
    name = f"CUHK03 {boxes}"
    return _data_set(name, "CUHK03-NP folders", chosen, _read(folder, _NP_NAMES), NEW[boxes])


def _data_set(
    name: str,
    form: str,
    protocol: str,
    read: _Read,
    expected: Mapping[str, Count],
    part: str = "",
) -> DataSet:
    return DataSet(
        name=name,
        form=form,
        protocol=protocol,
        protocols=(protocol,),
        subsets={
            key: ImageSet(f"{name} {key}", tuple(value)) for key, value in read.subsets.items()
        },
        expected=expected,
        part=part,
        left_out=tuple(read.left_out),
        leftovers=read.leftovers,
    )


def _stem(path: Path) -> str:
    return path.name.split(".")[0]


@dataclass
class _Read:
    """Samples of each subset, and what is none."""

    subsets: dict[str, list[Sample]]
    junk: int = 0
    """Gallery images that are neither right nor wrong."""
    left_out: list[str] = field(default_factory=list)
    leftovers: int = 0


def _read(folder: Path, names: _Names) -> _Read:
    """Reads the names of all images. Raises :class:`InputError` where none is called so."""
    read = _Read({part: [] for part in FOLDERS})
    for part, below in FOLDERS.items():
        files = named_files(folder / below)
        read.leftovers += files.leftovers
        for path in files.images:
            matched = names.pattern.match(_stem(path))
            if matched is None:
                read.left_out.append(f"{path}: not called as in {names.data}, like {names.example}")
                continue
            person, camera = matched.groups()
            if person == "-1" or (not int(person) and part != "gallery"):
                read.junk += part == "gallery"
                continue
            identity = person if int(person) else DISTRACTOR
            read.subsets[part].append(file_sample(folder, path, identity, f"c{camera}"))
    if read.left_out and not any(read.subsets.values()):
        raise InputError(read.left_out[0])
    return read
