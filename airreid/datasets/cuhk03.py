"""CUHK03: names of its pictures, its counts, and its two protocols.

Li, Zhao, Xiao and Wang, *DeepReID*, CVPR 2014 (20 splits, the *old* protocol); Zhong,
Zheng, Cao and Li, *Re-ranking Person Re-identification with k-reciprocal Encoding*,
CVPR 2017 (767/700 identities, the *new* one).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from airreid.datasets.cuhk03_config import Config, find_config
from airreid.datasets.dataset import Count, DataSet, pick
from airreid.datasets.folder import file_sample
from airreid.datasets.reader import BOXES, Boxes, Certainty, Reader, Recognition
from airreid.datasets.samples import ImageSet, Sample
from airreid.errors import InputError
from airreid.picture_files import is_leftover, named_files

PAIRS = 5
CELLS = 10
"""Pictures of an identity at most: cells 0-4 by one camera of its pair, 5-9 by the other."""
IMAGES: Mapping[str, int] = {"labeled": 14096, "detected": 14097}
IDENTITIES = 1467
OLD_TEST = 100
NEW: Mapping[str, Mapping[str, Count]] = {
    "labeled": {"train": Count(7368, 767), "query": Count(1400, 700), "gallery": Count(5328, 700)},
    "detected": {"train": Count(7365, 767), "query": Count(1400, 700), "gallery": Count(5332, 700)},
}
ALL, NEW_PROTOCOL = "all", "new"
_NAME = re.compile(r"^([1-5])_(\d{3,4})_([12])_(\d{2})$")


class Key(NamedTuple):
    """A picture: camera pair 1-5, person of the pair from 1, view 1-2, cell 1-10."""

    pair: int
    person: int
    view: int
    cell: int

    @property
    def name(self) -> str:
        return f"{self.pair}_{self.person:03d}_{self.view}_{self.cell:02d}.png"

    @property
    def identity(self) -> str:
        return f"{self.pair}-{self.person:04d}"

    @property
    def camera(self) -> str:
        return f"pair-{self.pair}-view-{self.view}"


def parse_name(name: str) -> Key | None:
    """Parses the name of a picture, ``1_001_1_01.png``; None for another name."""
    match = _NAME.match(Path(name).stem)
    return Key(*(int(part) for part in match.groups())) if match else None


@dataclass(frozen=True)
class Pictures:
    """All pictures of one kind of boxes, from whatever form they lie in."""

    form: str
    where: Path
    boxes: Boxes
    samples: Mapping[Key, Sample]
    testsets: Sequence[frozenset[tuple[int, int]]] = ()
    """(pair, person) of the test identities of each split of the old protocol."""
    config: Config | None = None
    """Configuration of the new protocol."""
    left_out: tuple[str, ...] = ()
    leftovers: int = 0


def open_pictures(pictures: Pictures, protocol: str | None) -> DataSet:
    """Opens CUHK03 under ``new``, ``old-1`` ... ``old-20`` or ``all``, as far as they are known.

    ``all`` trains on everybody and searches view 2 for view 1 of everybody: for bundles
    that were trained elsewhere. Raises :class:`InputError`.
    """
    old = tuple(f"old-{i}" for i in range(1, len(pictures.testsets) + 1))
    new = (NEW_PROTOCOL,) if pictures.config is not None else ()
    protocols = (*new, *old, ALL)
    chosen = pick(protocol, protocols, str(pictures.where))
    missing: tuple[str, ...] = ()
    expected: Mapping[str, Count]
    if chosen == NEW_PROTOCOL and pictures.config is not None:
        expected = NEW[pictures.boxes]
        subsets, missing = _new(pictures, pictures.config)
    elif chosen == ALL:
        everybody = {(key.pair, key.person) for key in pictures.samples}
        expected = {"train": Count(IMAGES[pictures.boxes], IDENTITIES)}
        subsets = _cross_view(pictures, everybody, everybody)
    else:
        test = pictures.testsets[old.index(chosen)]
        people = {(key.pair, key.person) for key in pictures.samples}
        expected = {
            "train": Count(None, IDENTITIES - OLD_TEST),
            "query": Count(None, OLD_TEST),
            "gallery": Count(None, OLD_TEST),
        }
        subsets = _cross_view(pictures, people - test, test)
    pairs = sorted({key.pair for key in pictures.samples})
    part = f"camera pair {', '.join(map(str, pairs))} of {PAIRS}" if len(pairs) < PAIRS else ""
    return DataSet(
        name=f"CUHK03 {pictures.boxes}",
        form=pictures.form,
        protocol=chosen,
        protocols=protocols,
        subsets={
            name: ImageSet(f"CUHK03 {pictures.boxes} {name} ({chosen})", tuple(samples))
            for name, samples in subsets.items()
        },
        expected=expected,
        single_shot=chosen in old,
        part=part,
        missing=missing,
        left_out=pictures.left_out,
        leftovers=pictures.leftovers,
    )


def _cross_view(
    pictures: Pictures, train: set[tuple[int, int]], test: set[tuple[int, int]] | frozenset[object]
) -> dict[str, list[Sample]]:
    ordered = sorted(pictures.samples.items())
    return {
        "train": [s for key, s in ordered if (key.pair, key.person) in train],
        "query": [s for key, s in ordered if (key.pair, key.person) in test and key.view == 1],
        "gallery": [s for key, s in ordered if (key.pair, key.person) in test and key.view == 2],
    }


def _new(pictures: Pictures, config: Config) -> tuple[dict[str, list[Sample]], tuple[str, ...]]:
    keys = []
    for name in config.files:
        key = parse_name(name)
        if key is None:
            raise InputError(f"{config.path}: lists {name!r}, which is no picture of CUHK03")
        keys.append(key)
    numbers: dict[str, int] = {}
    for key, label in zip(keys, config.labels, strict=True):
        if numbers.setdefault(key.identity, label) != label:
            raise InputError(f"{config.path}: {key.name} has a label unlike others of its identity")
    subsets: dict[str, list[Sample]] = {}
    missing: list[str] = []
    for part, positions in config.subsets.items():
        subsets[part] = []
        for position in positions:
            sample = pictures.samples.get(keys[position])
            if sample is None:
                missing.append(keys[position].name)
            else:
                subsets[part].append(sample)
    return subsets, tuple(dict.fromkeys(missing))


class Cuhk03FilesReader(Reader):
    """Pictures as single files called ``{pair}_{person}_{view}_{cell}``."""

    name = "CUHK03 extracted files"
    looks_for = "files like 1_001_1_01.png"
    protocols = (NEW_PROTOCOL, ALL)

    def recognises(self, path: Path) -> Recognition:
        folder = any_boxes_folder(path)
        if folder.is_dir() and any(
            parse_name(p.name) and not is_leftover(Path(p.name)) and p.is_file()
            for p in folder.iterdir()
        ):
            return Recognition(Certainty.SURE, self.looks_for)
        return Recognition(Certainty.NO, f"no {self.looks_for}")

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        folder, kind = boxes_folder(path, boxes)
        kind = known_boxes(kind, folder)
        return open_pictures(extracted(folder, kind, find_config(folder, kind)), protocol)


def _boxes_folders(path: Path) -> dict[Boxes, Path]:
    """The folder of each kind of boxes below ``path``, where there is one."""
    below = {boxes: (path / boxes, path / f"images_{boxes}") for boxes in BOXES}
    return {
        boxes: folder
        for boxes, folders in below.items()
        if (folder := next((f for f in folders if f.is_dir()), None)) is not None
    }


def any_boxes_folder(path: Path) -> Path:
    """A folder of one kind of boxes where ``path`` holds both, else ``path`` itself."""
    below = _boxes_folders(path)
    return below[BOXES[0]] if len(below) == len(BOXES) else path


def boxes_folder(path: Path, boxes: Boxes | None) -> tuple[Path, Boxes | None]:
    """The folder of one kind of boxes, and which kind its name says it is.

    Raises :class:`InputError` where ``path`` holds both kinds and ``boxes`` is None, and
    where its name says another kind.
    """
    below = _boxes_folders(path)
    if len(below) == len(BOXES):
        if boxes is None:
            raise InputError(f"{path}: holds labeled and detected; choose one with --boxes")
        return below[boxes], boxes
    named = next((kind for kind in BOXES if kind in path.resolve().name.lower()), None)
    if boxes is not None and named is not None and named != boxes:
        raise InputError(f"{path}: called {named}, but --boxes says {boxes}")
    return path, boxes or named


def known_boxes(boxes: Boxes | None, path: Path) -> Boxes:
    """The kind of boxes. Raises :class:`InputError` for None."""
    if boxes is None:
        raise InputError(f"{path}: CUHK03; say with --boxes whether it is labeled or detected")
    return boxes


def extracted(folder: Path, boxes: Boxes, config: Config | None) -> Pictures:
    """Finds pictures that lie as single files; images of other names are left out."""
    samples = {}
    left_out = []
    files = named_files(folder)
    for path in files.images:
        key = parse_name(path.name)
        if key is None or not 1 <= key.cell <= CELLS:
            left_out.append(f"{path}: not called {{pair}}_{{person}}_{{view}}_{{cell}} as CUHK03")
            continue
        samples[key] = file_sample(folder, path, key.identity, key.camera)
    return Pictures(
        "CUHK03 extracted files",
        folder,
        boxes,
        samples,
        config=config,
        left_out=tuple(left_out),
        leftovers=files.leftovers,
    )
