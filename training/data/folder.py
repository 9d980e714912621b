"""A user's own cameras: a folder of ``<identity>/<camera>/<image>``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from airreid.errors import InputError
from airreid.images import load
from airreid.people import read_folder
from training.data.samples import ImageSet, Sample


def _version(path: Path) -> str:
    state = path.stat()
    return f"{state.st_size}-{state.st_mtime_ns}"


def folder_set(folder: Path) -> ImageSet:
    """All images of the folder.

    Raises :class:`InputError` if there are fewer than two identities or if an image
    lies elsewhere than at ``<identity>/<camera>/<image>``.
    """
    crops = read_folder(folder)
    if len({crop.identity for crop in crops}) < 2:
        raise InputError(f"{folder}: one identity only; training needs at least two")
    samples = tuple(
        Sample(
            str(crop.path),
            crop.identity,
            crop.camera,
            _version(crop.path),
            partial(load, crop.path),
        )
        for crop in crops
    )
    return ImageSet(f"folder {folder.name}", samples)
