"""Folders of person crops: ``<identity>/<camera>/<image>``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airreid.errors import InputError
from airreid.picture_files import LeftOut, picture_files


@dataclass(frozen=True)
class Crop:
    """Image file of a known person."""

    identity: str
    camera: str
    path: Path


@dataclass(frozen=True)
class CropFolder:
    """Crops of a folder, and what else lies there."""

    crops: list[Crop]
    """Sorted by path."""
    misplaced: tuple[LeftOut, ...]
    """Images that lie anywhere but at ``<identity>/<camera>/<image>``."""
    no_images: tuple[LeftOut, ...]
    """Files that are no images."""
    leftovers: int
    """Number of hidden files and of leftovers of systems and archives."""

    @property
    def left_out(self) -> list[LeftOut]:
        """All files that are not taken, but for leftovers; sorted by path."""
        return sorted(self.misplaced + self.no_images, key=lambda file: file.path)


def list_crops(folder: Path) -> CropFolder:
    """Lists the crops of a folder, and every file that is none.

    Raises :class:`InputError` if the folder is missing or holds no crop.
    """
    files = picture_files(folder)
    crops: list[Crop] = []
    misplaced: list[LeftOut] = []
    for path in files.images:
        parts = path.relative_to(folder).parts
        if len(parts) == 3:
            crops.append(Crop(parts[0], parts[1], path))
        else:
            reason = f"{path}: expected {folder}/<identity>/<camera>/<image>"
            misplaced.append(LeftOut(path, reason))
    if not crops:
        if misplaced:
            raise InputError(misplaced[0].reason)
        others = f" ({files.left_out[0].reason})" if files.left_out else ""
        raise InputError(f"{folder}: no images; expected <identity>/<camera>/<image>{others}")
    return CropFolder(crops, tuple(misplaced), files.left_out, files.leftovers)


def read_folder(folder: Path) -> list[Crop]:
    """Lists all crops of a folder, sorted by path; files that are no images are passed over.

    Raises :class:`InputError` if the folder is missing, holds no image, or has an
    image anywhere but at ``<identity>/<camera>/<image>``.
    """
    listed = list_crops(folder)
    if listed.misplaced:
        raise InputError(listed.misplaced[0].reason)
    return listed.crops
