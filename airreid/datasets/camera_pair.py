"""CUHK03 camera pair as flat files ``{identity}_{index}.jpg`` in ``train`` and ``val``."""

from __future__ import annotations

import re
from pathlib import Path

from airreid.datasets.dataset import Count, DataSet, pick
from airreid.datasets.folder import file_sample
from airreid.datasets.reader import Boxes, Certainty, Reader, Recognition
from airreid.datasets.samples import ImageSet, Sample
from airreid.errors import InputError
from airreid.picture_files import named_files

FOLDERS = ("train", "val")
PROTOCOLS = ("query-camera-1", "query-camera-2")
_NAME = re.compile(r"^(\d{4})_(0[0-9])$")
_IDENTITIES = {"train": 743, "query": 100, "gallery": 100}


class CameraPairReader(Reader):
    """Folders ``train`` and ``val`` of flat files."""

    name = "CUHK03 camera pair, flat files"
    looks_for = "train and val with files like 0001_07.jpg"
    protocols = PROTOCOLS

    def recognises(self, path: Path) -> Recognition:
        for part in FOLDERS:
            if not (path / part).is_dir():
                return Recognition(Certainty.NO, f"no folder {part}")
            if not any(_NAME.match(p.stem) and p.is_file() for p in (path / part).iterdir()):
                return Recognition(Certainty.NO, f"no file in {part} like 0001_07.jpg")
        return Recognition(Certainty.SURE, "train and val with files like 0001_07.jpg")

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        return open_pair(path, protocol)


def open_pair(folder: Path, protocol: str | None = None) -> DataSet:
    """Opens one camera pair: index 0-4 is one camera, 5-9 the other.

    ``val`` searches one camera for the other. The two folders number their identities
    apart. Every result says that it is a part of CUHK03. An image that is called otherwise is
    left out; raises :class:`InputError` where all are.
    """
    chosen = pick(protocol, PROTOCOLS, str(folder))
    query_camera = f"camera-{chosen[-1]}"
    left_out: list[str] = []
    train, test = (_read(folder, part, left_out) for part in FOLDERS)
    if not train and not test and left_out:
        raise InputError(left_out[0])
    subsets = {
        "train": train,
        "query": [s for s in test if s.camera == query_camera],
        "gallery": [s for s in test if s.camera != query_camera],
    }
    name = "CUHK03 camera pair"
    return DataSet(
        name=name,
        form="CUHK03 camera pair, flat files",
        protocol=chosen,
        protocols=PROTOCOLS,
        subsets={key: ImageSet(f"{name} {key}", tuple(value)) for key, value in subsets.items()},
        expected={key: Count(None, count) for key, count in _IDENTITIES.items()},
        part="one camera pair of 5",
        left_out=tuple(left_out),
        leftovers=sum(named_files(folder / part).leftovers for part in FOLDERS),
    )


def _read(folder: Path, part: str, left_out: list[str]) -> list[Sample]:
    samples = []
    for path in named_files(folder / part).images:
        matched = _NAME.match(path.stem)
        if matched is None:
            left_out.append(f"{path}: not called {{identity}}_{{index}} like 0001_07.jpg")
            continue
        identity, index = matched.groups()
        camera = "camera-1" if int(index) < 5 else "camera-2"
        samples.append(file_sample(folder, path, f"{part}-{identity}", camera))
    return samples
