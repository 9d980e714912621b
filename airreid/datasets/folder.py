"""Folders of a user's own people: ``<identity>/<camera>/<image>``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from airreid.crop_folder import Crop, CropFolder, crop_root, list_crops
from airreid.datasets.dataset import DataSet, pick
from airreid.datasets.held_out import hold_out
from airreid.datasets.reader import Boxes, Certainty, Reader, Recognition
from airreid.datasets.samples import ImageSet, Sample
from airreid.errors import InputError
from airreid.images import load
from airreid.picture_files import LeftOut, has_image

ALL, HOLDOUT, GIVEN = "all", "holdout", "given"
PARTS = ("train", "query", "gallery")
_FORM = "folder of <identity>/<camera>/<image>"
_SPLIT_FORM = "folders train, query and gallery"
HELD_OUT = 5
"""One identity in so many is held out by the protocol ``holdout``."""


def file_version(path: Path) -> str:
    """Size and time of a file, which change when it does. Raises :class:`InputError`."""
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return f"{state.st_size}-{state.st_mtime_ns}"


def file_sample(root: Path, path: Path, identity: str, camera: str) -> Sample:
    """Sample of an image file below ``root``, named relative to it."""
    name = path.relative_to(root).as_posix()
    return Sample(name, identity, camera, file_version(path), partial(load, path))


def _samples(root: Path, crops: Sequence[Crop]) -> tuple[Sample, ...]:
    return tuple(file_sample(root, crop.path, crop.identity, crop.camera) for crop in crops)


def reasons(files: Iterable[LeftOut]) -> tuple[str, ...]:
    """Says for each file that is left out why."""
    return tuple(file.reason for file in files)


def folder_set(folder: Path) -> ImageSet:
    """Lists all images of the folder at ``<identity>/<camera>/<image>``.

    Raises :class:`InputError` if there are fewer than two identities.
    """
    return _folder_set(folder, list_crops(folder))


def _folder_set(folder: Path, listed: CropFolder) -> ImageSet:
    images = ImageSet(f"folder {folder.resolve().name}", _samples(folder, listed.crops))
    if len(images.identities) < 2:
        raise InputError(
            f"{folder}: one identity only, read as <identity>/<camera>/<image>; training needs at "
            "least two. Tracks of one camera, <camera>/<track>/<image>, teach beside identities: "
            "--tracks"
        )
    return images


class SplitFolderReader(Reader):
    """A user's own people, split by the user."""

    name = "your own, split by you"
    looks_for = "train, query and gallery, each <identity>/<camera>/<image>"
    protocols = (GIVEN,)

    def recognises(self, path: Path) -> Recognition:
        missing = [part for part in PARTS if not (path / part).is_dir()]
        if missing:
            return Recognition(Certainty.NO, f"no folder {missing[0]}")
        return Recognition(Certainty.SURE, "folders train, query and gallery")

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        return open_parts(path, protocol)


class FolderReader(Reader):
    """A user's own people in one folder."""

    name = "your own"
    looks_for = "<identity>/<camera>/<image>"
    protocols = (ALL, HOLDOUT)
    certain_of_people = True

    def recognises(self, path: Path) -> Recognition:
        if has_image(path, path.glob("*/*/*")) and crop_root(path) == path:
            return Recognition(Certainty.POSSIBLE, "images at <identity>/<camera>/<image>")
        return Recognition(Certainty.NO, "no images at <identity>/<camera>/<image>")

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        return open_folder(path, protocol)


def open_parts(folder: Path, protocol: str | None = None) -> DataSet:
    """Opens ``train``, ``query`` and ``gallery`` as the user has split them."""
    name = f"folder {folder.resolve().name}"
    chosen = pick(protocol, (GIVEN,), str(folder))
    listed = {part: list_crops(folder / part) for part in PARTS}
    return DataSet(
        name=name,
        form=_SPLIT_FORM,
        protocol=chosen,
        protocols=(GIVEN,),
        subsets={
            part: ImageSet(f"{name} {part}", _samples(folder, below.crops))
            for part, below in listed.items()
        },
        left_out=reasons(file for below in listed.values() for file in below.left_out),
        beside=reasons(file for below in listed.values() for file in below.beside),
        leftovers=sum(below.leftovers for below in listed.values()),
    )


def open_folder(folder: Path, protocol: str | None = None) -> DataSet:
    """Opens a user's people, ``<identity>/<camera>/<image>``.

    Protocol ``all``: every image is trained on, and every image searches the others;
    honest only for a bundle that was trained elsewhere. ``holdout``: one identity in
    five, by the hash of its name, is kept from training and searched for. Raises
    :class:`InputError` for what :func:`folder_set` does.
    """
    listed = list_crops(folder)
    images = _folder_set(folder, listed)
    chosen = pick(protocol, (ALL, HOLDOUT), str(folder))
    train, test = images, images
    if chosen == HOLDOUT:
        identities = images.identities
        held = hold_out(identities, max(2, len(identities) // HELD_OUT))
        if len(images.identities) < 4:
            raise InputError(f"{folder}: protocol holdout needs at least four identities")
        train = _part(images, "train", set(images.identities) - held)
        test = _part(images, "test", held)
    return DataSet(
        name=images.name,
        form=_FORM,
        protocol=chosen,
        protocols=(ALL, HOLDOUT),
        subsets={"train": train, "query": test, "gallery": test},
        left_out=reasons(listed.left_out),
        beside=reasons(listed.beside),
        leftovers=listed.leftovers,
    )


def _part(images: ImageSet, name: str, identities: set[str]) -> ImageSet:
    samples = tuple(sample for sample in images.samples if sample.identity in identities)
    return ImageSet(f"{images.name} {name}", samples)
