"""One way in: a folder, a file or a word becomes a :class:`DataSet`."""

from __future__ import annotations

from pathlib import Path

from airreid.datasets.bounding_boxes import has_boxes, is_market, open_market, open_np
from airreid.datasets.camera_pair import has_pair, open_pair
from airreid.datasets.cuhk03 import ALL, Boxes, extracted, has_extracted, open_pictures
from airreid.datasets.cuhk03_config import find_config
from airreid.datasets.cuhk03_mat import FILE, read_mat
from airreid.datasets.dataset import DataSet
from airreid.datasets.folder import has_parts, open_folder, open_parts
from airreid.datasets.msmt17 import has_lists, open_msmt17
from airreid.datasets.synthetic.population import open_synthetic
from airreid.errors import InputError

SYNTHETIC = "synthetic"
KINDS: tuple[Boxes, ...] = ("labeled", "detected")


def open_data(
    source: Path | str, protocol: str | None = None, boxes: Boxes | None = None
) -> DataSet:
    """The data set at ``source``, its form recognised, under ``protocol``.

    ``source``: a folder, CUHK03's ``.mat`` file, or ``synthetic``. ``protocol`` None
    means the data set's first one; ``boxes`` None the only ones that there are, and
    ``labeled`` for the ``.mat`` file, which has both.
    Images are not read. Raises :class:`InputError` for a form that is not known and
    for a protocol or boxes that the source has not.
    """
    if str(source) == SYNTHETIC:
        return open_synthetic(protocol)
    path = Path(source)
    mat = _mat_file(path)
    if mat is not None:
        kind = boxes or KINDS[0]
        return open_pictures(read_mat(mat, kind, find_config(mat.parent, kind)), protocol)
    if not path.is_dir():
        raise InputError(f"{path}: no such folder, nor CUHK03's {FILE}")
    path, named = _boxes(path, boxes)
    if has_boxes(path):
        if is_market(path):
            return open_market(path, protocol)
        return open_np(path, _known(named, path), protocol)
    if has_lists(path):
        return open_msmt17(path, protocol)
    if has_extracted(path):
        kind = _known(named, path)
        return open_pictures(extracted(path, kind, find_config(path, kind)), protocol)
    if has_pair(path):
        return open_pair(path, protocol)
    if has_parts(path):
        return open_parts(path, protocol)
    return open_folder(path, protocol)


def _mat_file(path: Path) -> Path | None:
    if path.is_file():
        if path.suffix != ".mat":
            raise InputError(f"{path}: give a folder, or CUHK03's {FILE}")
        return path
    places = (path / FILE, path / "cuhk03_release" / FILE)
    return next((place for place in places if place.is_file()), None)


def _boxes(path: Path, boxes: Boxes | None) -> tuple[Path, Boxes | None]:
    """The folder of one kind of boxes, and which kind its name says it is."""
    below = {
        kind: next((path / n for n in (kind, f"images_{kind}") if (path / n).is_dir()), None)
        for kind in KINDS
    }
    if all(below.values()):
        if boxes is None:
            raise InputError(f"{path}: holds labeled and detected; choose one with --boxes")
        return below[boxes] or path, boxes
    named = next((kind for kind in KINDS if kind in path.resolve().name.lower()), None)
    if boxes is not None and named is not None and named != boxes:
        raise InputError(f"{path}: called {named}, but --boxes says {boxes}")
    return path, boxes or named


def _known(boxes: Boxes | None, path: Path) -> Boxes:
    if boxes is None:
        raise InputError(f"{path}: CUHK03; say with --boxes whether it is labeled or detected")
    return boxes


def open_splits(source: Path | str, boxes: Boxes | None = None) -> tuple[DataSet, list[DataSet]]:
    """All of CUHK03's pictures, and each split of its old protocol.

    Raises :class:`InputError` where there are no splits: they are in ``cuhk-03.mat``.
    """
    mat = None if str(source) == SYNTHETIC else _mat_file(Path(source))
    if mat is None:
        raise InputError(f"{source}: protocol old needs CUHK03's {FILE}, which has the splits")
    pictures = read_mat(mat, boxes or KINDS[0], None)
    splits = [
        open_pictures(pictures, f"old-{number}") for number in range(1, len(pictures.testsets) + 1)
    ]
    if not splits:
        raise InputError(f"{mat}: no testsets in it, so no protocol old")
    return open_pictures(pictures, ALL), splits
