"""MSMT17: list files beside folders of images (Wei, Zhang, Gao and Tian, CVPR 2018)."""

from __future__ import annotations

import re
from pathlib import Path

from airreid.datasets.dataset import Count, DataSet, pick
from airreid.datasets.folder import file_sample
from airreid.datasets.reader import Boxes, Certainty, Reader, Recognition
from airreid.datasets.samples import ImageSet, Sample
from airreid.disk import read_regular
from airreid.errors import InputError

LISTS = {"train": "train", "val": "train", "query": "test", "gallery": "test"}
"""Subset to the kind of folder that its list's images lie in."""
_FOLDERS = {"train": ("train", "mask_train_v2"), "test": ("test", "mask_test_v2")}
_NAME = re.compile(r"^\d{4}_\d{3}_\d{2}_.+_\d+(_\d+)?\.jpg$")
_IDENTITY = re.compile(r"[0-9]{1,9}")
_LIST_BYTES_MAX = 64 << 20
"""Bytes of a list of images, at most."""
_COUNTS = {
    "train": Count(30248, 1041),
    "val": Count(2373, 1041),
    "query": Count(11659, 3060),
    "gallery": Count(82161, 3060),
}


class Msmt17Reader(Reader):
    """MSMT17's list files and folders of images."""

    name = "MSMT17"
    looks_for = "list_train.txt beside folders of images"
    protocols = ("msmt17",)

    def recognises(self, path: Path) -> Recognition:
        if (path / "list_train.txt").is_file():
            return Recognition(Certainty.SURE, "list_train.txt")
        if _without_lists(path):
            return Recognition(Certainty.SURE, "images of MSMT17, without their lists")
        return Recognition(Certainty.NO, "no list_train.txt")

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        return open_msmt17(path, protocol)


def open_msmt17(folder: Path, protocol: str | None = None) -> DataSet:
    """Opens MSMT17, version 1 or 2, by its list files; ``val`` is part of the training people.

    Identities of train and test are numbered apart. Raises :class:`InputError` for a
    missing list and for a line that is no image and number.
    """
    chosen = pick(protocol, ("msmt17",), str(folder))
    lists = [f"list_{part}.txt" for part in LISTS if not (folder / f"list_{part}.txt").is_file()]
    if lists:
        raise InputError(
            f"{folder}: MSMT17 without {', '.join(lists)}, which say who is searched for; "
            "put the lists that come with it beside the folders of images"
        )
    version = "V2" if (folder / _FOLDERS["train"][1]).is_dir() else "V1"
    subsets: dict[str, ImageSet] = {}
    missing: list[str] = []
    for part, kind in LISTS.items():
        below = next((name for name in _FOLDERS[kind] if (folder / name).is_dir()), None)
        if below is None:
            raise InputError(f"{folder}: no folder {' or '.join(_FOLDERS[kind])}")
        samples: list[Sample] = []
        for name, number in _lines(folder / f"list_{part}.txt"):
            path = folder / below / name
            if not path.is_file():
                missing.append(f"{below}/{name}")
                continue
            camera = path.stem.split("_")[2]
            samples.append(file_sample(folder, path, f"{kind}-{number:04d}", f"c{camera}"))
        subsets[part] = ImageSet(f"MSMT17 {part}", tuple(samples))
    return DataSet(
        name="MSMT17",
        form=f"MSMT17 list files and folders, {version}",
        protocol=chosen,
        protocols=("msmt17",),
        subsets=subsets,
        expected=_COUNTS,
        missing=tuple(missing),
    )


def _without_lists(folder: Path) -> bool:
    """Whether both folders hold images called as MSMT17's are."""
    for names in _FOLDERS.values():
        below = next((folder / name for name in names if (folder / name).is_dir()), None)
        if below is None or not any(_NAME.match(path.name) for path in below.glob("*/*.jpg")):
            return False
    return True


def _lines(path: Path) -> list[tuple[str, int]]:
    try:
        text = read_regular(path, _LIST_BYTES_MAX).decode()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text of UTF-8; copy it again") from None
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        known = len(words) == 2 and _IDENTITY.fullmatch(words[1])
        if not known or len(Path(words[0]).stem.split("_")) < 3:
            raise InputError(f"{path}: line {number}: expected an image of MSMT17 and its identity")
        entries.append((words[0], int(words[1])))
    return entries
