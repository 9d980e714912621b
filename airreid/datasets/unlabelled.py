"""Crops of nobody in particular: images that say neither identity nor track."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from airreid.datasets.dataset import DISTRACTOR, DataSet
from airreid.datasets.folder import ALL, file_sample, reasons
from airreid.datasets.part_names import parts_among
from airreid.datasets.samples import ImageSet
from airreid.errors import InputError
from airreid.image_formats import GIVE
from airreid.picture_files import PictureFiles, picture_files

FORM = "folder of crops without identities"


def is_unlabelled(folder: Path) -> bool:
    """Tells whether images lie in the folder itself, or one level below with nothing deeper."""
    deepest = 0
    for path in picture_files(folder).images:
        deepest = max(deepest, len(path.relative_to(folder).parts))
        if deepest > 2:
            return False
    names = [path.name for path in folder.iterdir() if path.is_dir()]
    return deepest in (1, 2) and not parts_among(names)


def unlabelled_set(folder: Path) -> tuple[ImageSet, tuple[str, ...]]:
    """Lists all images of a folder, each under its own name as identity, all of one camera.

    The second value says of each file that is left out why. Raises :class:`InputError` where there
    are no images.
    """
    files = picture_files(folder)
    return _set(folder, files), reasons(files.left_out)


def _set(folder: Path, files: PictureFiles) -> ImageSet:
    if not files.images:
        raise InputError(f"{folder}: no images; {GIVE} of each person")
    samples = tuple(file_sample(folder, path, path.name, "camera") for path in files.images)
    return ImageSet(f"folder {folder.resolve().name}, without identities", samples)


def unlabelled_data(folder: Path) -> DataSet:
    """Opens a folder's images as a data set of nobody, to be counted and decoded."""
    files = picture_files(folder)
    images = _set(folder, files)
    samples = tuple(replace(sample, identity=DISTRACTOR) for sample in images.samples)
    return DataSet(
        images.name,
        FORM,
        ALL,
        (ALL,),
        {"crops": ImageSet(images.name, samples)},
        left_out=reasons(files.left_out),
        beside=reasons(file for file in files.left_out if not file.is_called_image),
        leftovers=files.leftovers,
    )
