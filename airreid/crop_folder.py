"""Folders of person crops: ``<identity>/<camera>/<image>``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from airreid.errors import InputError
from airreid.picture_files import LeftOut, is_leftover, picture_files

_STRAY = 10
"""Files at ``<identity>/<camera>/<image>`` are strays where so many times more lie deeper."""

_CAMERA = re.compile(r"(?:cam|camera|kamera)[-_. ]?[0-9a-z]{1,4}", re.IGNORECASE)
"""Name of a camera, and of nobody."""


@dataclass(frozen=True)
class Crop:
    """Image file of a known person."""

    identity: str
    camera: str
    path: Path


@dataclass(frozen=True)
class CropFolder:
    """Crops of a folder, and what else lies there."""

    root: Path
    """Folder that holds the identities: the one that was given, or one below it."""
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

    @property
    def beside(self) -> list[LeftOut]:
        """Files that are plainly no images: notes, tables."""
        return [file for file in self.no_images if file.is_no_fault]


def crop_root(folder: Path) -> Path:
    """Returns the folder that holds the identities: ``folder``, or the only one below it.

    One goes down where the files lie deeper than ``<identity>/<camera>/<image>``, as those of an
    unpacked archive often do.
    """
    lowest = folder
    while lowest.is_dir():
        below = [
            path
            for path in lowest.iterdir()
            if not is_leftover(Path(path.name)) and path.is_dir() and not path.is_symlink()
        ]
        if len(below) != 1:
            break
        [lowest] = below
        deeper = _file_count(lowest, "*/*/*")
        if deeper and _file_count(folder, "*/*/*") * _STRAY > deeper:
            break
        if deeper:
            folder = lowest
    return folder


def _file_count(folder: Path, pattern: str) -> int:
    paths = (path.relative_to(folder) for path in folder.glob(pattern) if path.is_file())
    return sum(not is_leftover(path) for path in paths)


def is_cameras_first(first: set[str], second: set[str]) -> bool:
    """Whether the names of the first level of folders are cameras, those of the second are not."""
    if not first or not second:
        return False
    return all(map(_CAMERA.fullmatch, first)) and not any(map(_CAMERA.fullmatch, second))


def list_crops(folder: Path, cameras_first: bool = False) -> CropFolder:
    """Lists the crops of a folder, or of the only one below it, and every file that is none.

    Raises :class:`InputError` if the folder is missing or holds no crop, and where cameras stand
    in the place of identities, unless ``cameras_first``.
    """
    files, root = picture_files(folder), crop_root(folder)
    crops: list[Crop] = []
    misplaced: list[LeftOut] = []
    for path in files.images:
        parts = path.relative_to(root).parts if path.is_relative_to(root) else ()
        if len(parts) == 3:
            crops.append(Crop(parts[0], parts[1], path))
        else:
            reason = f"{path}: expected {root}/<identity>/<camera>/<image>"
            misplaced.append(LeftOut(path, reason))
    if not crops:
        if misplaced:
            raise InputError(misplaced[0].reason)
        others = f" ({files.left_out[0].reason})" if files.left_out else ""
        raise InputError(f"{folder}: no images; expected <identity>/<camera>/<image>{others}")
    identities, cameras = {crop.identity for crop in crops}, {crop.camera for crop in crops}
    if not cameras_first and is_cameras_first(identities, cameras):
        named = ", ".join(sorted(identities)[:3])
        raise InputError(
            f"{root}: the first folders, {named}, are called as cameras are; "
            "expected <identity>/<camera>/<image>"
        )
    return CropFolder(root, crops, tuple(misplaced), files.left_out, files.leftovers)


def read_folder(folder: Path) -> list[Crop]:
    """Lists all crops of a folder, sorted by path; files that are no images are passed over.

    Raises :class:`InputError` if the folder is missing, holds no image, or has an
    image anywhere but at ``<identity>/<camera>/<image>``.
    """
    listed = list_crops(folder)
    if listed.misplaced:
        raise InputError(listed.misplaced[0].reason)
    return listed.crops
