"""Folders of person crops: ``<identity>/<camera>/<image>``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airreid.errors import InputError
from airreid.images import SUFFIXES


@dataclass(frozen=True)
class Crop:
    """Image file of a known person."""

    identity: str
    camera: str
    path: Path


def read_folder(folder: Path) -> list[Crop]:
    """Lists all crops of a folder, sorted by path.

    Raises :class:`InputError` if the folder is missing, holds no image, or has an
    image anywhere but at ``<identity>/<camera>/<image>``.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    crops = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        parts = path.relative_to(folder).parts
        if len(parts) != 3:
            raise InputError(f"{path}: expected {folder}/<identity>/<camera>/<image>")
        crops.append(Crop(parts[0], parts[1], path))
    if not crops:
        raise InputError(f"{folder}: no images; expected <identity>/<camera>/<image>")
    return crops
