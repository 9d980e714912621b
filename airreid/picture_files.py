"""Files of a folder, every one accounted for: images, leftovers of systems, and what is neither."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from airreid.errors import InputError
from airreid.image_formats import GIVE, HEAD_BYTES, format_of, plugins_of
from airreid.images import SUFFIXES, open_regular

_LEFTOVERS = frozenset(
    {
        *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "lost+found"),
        *("$recycle.bin", "#recycle", "@recycle", "#snapshot", "system volume information"),
        *("network trash folder", "temporary items", "icon\r"),
    }
)
_DEEPEST = 64
"""Folders in each other, at most."""
_CALLED_IMAGES = SUFFIXES | {
    *(".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jfif", ".jpe", ".jxl", ".jp2"),
}


@dataclass(frozen=True)
class LeftOut:
    """A file that is not taken."""

    path: Path
    reason: str
    """Fault and way out, beginning with the path."""

    @property
    def is_called_image(self) -> bool:
        """Whether its name says that it is an image; notes and tables beside crops are not."""
        return self.path.suffix.lower() in _CALLED_IMAGES

    @property
    def is_no_fault(self) -> bool:
        """Whether it is plainly no picture: a file that can be read and is not called an image."""
        return not self.is_called_image and self.path.is_file() and os.access(self.path, os.R_OK)


@dataclass(frozen=True)
class PictureFiles:
    """All files below a folder; each is in one of the three."""

    images: tuple[Path, ...]
    """Files with the first bytes of an image that can be read, whatever their names."""
    left_out: tuple[LeftOut, ...]
    """Other files that somebody put there, links to folders, and empty folders that are called
    like an image."""
    leftovers: int
    """Number of hidden files and of those that systems and archives leave behind."""


def is_leftover(relative: Path) -> bool:
    """Whether a path below a folder is hidden or a leftover: ``._a.jpg``, ``Thumbs.db``."""
    return any(
        part.startswith(".") or part.endswith("~") or part.lower() in _LEFTOVERS
        for part in relative.parts
    )


def picture_files(folder: Path) -> PictureFiles:
    """Sorts all files below a folder, in the order of their paths.

    Raises :class:`InputError` for a folder that is missing, or far too deep.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    return sorted_out(folder, (path for path in sorted(below(folder)) if not _is_way(path)))


def below(folder: Path) -> Iterator[Path]:
    """Yields all files and folders below a folder; links are not followed.

    Raises :class:`InputError` for folders in each other that go deeper than anybody's.
    """
    waiting = [(folder, 0)]
    while waiting:
        path, level = waiting.pop()
        if level > _DEEPEST:
            raise InputError(
                f"{folder}: more than {_DEEPEST} folders in each other; give one of those inside"
            )
        with contextlib.suppress(PermissionError), os.scandir(path) as entries:
            for entry in entries:
                yield path / entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((path / entry.name, level + 1))


def _is_way(path: Path) -> bool:
    """Whether a path is a folder like any other, whose files are listed with it."""
    if not path.is_dir() or path.is_symlink():
        return False
    return path.suffix.lower() not in _CALLED_IMAGES or any(path.iterdir())


@dataclass(frozen=True)
class NamedFiles:
    """Files of one folder that go by their names, as those of published data sets do."""

    images: tuple[Path, ...]
    """Files with an image's suffix, in the order of their names."""
    leftovers: int
    """Number of hidden files and of leftovers of systems and archives."""


def named_files(folder: Path) -> NamedFiles:
    """Lists the image files of a folder itself by their suffixes, none of them opened."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    whole = [path for path in paths if not is_leftover(Path(path.name))]
    images = tuple(path for path in whole if path.suffix.lower() in SUFFIXES)
    return NamedFiles(images, len(paths) - len(whole))


def sorted_out(folder: Path, paths: Iterable[Path]) -> PictureFiles:
    """Sorts files below a folder; they keep their order."""
    images: list[Path] = []
    left_out: list[LeftOut] = []
    leftovers = 0
    for path in paths:
        if is_leftover(path.relative_to(folder)):
            leftovers += 1
        elif reason := why_not(path):
            left_out.append(LeftOut(path, reason))
        else:
            images.append(path)
    return PictureFiles(tuple(images), tuple(left_out), leftovers)


def has_image(folder: Path, paths: Iterable[Path]) -> bool:
    """Whether an image that can be read is among files below a folder; stops at the first."""
    return any(not is_leftover(path.relative_to(folder)) and not why_not(path) for path in paths)


def why_not(path: Path) -> str:
    """Says why a file cannot be an image, by its first bytes; empty if it can."""
    if path.is_dir():
        if path.is_symlink():
            return f"{path}: a link to a folder, which is not followed; put the folder itself there"
        return f"{path}: a folder, not an image; {GIVE}"
    try:
        with open_regular(path) as file:
            head = file.read(HEAD_BYTES)
        plugins_of(format_of(head), str(path))
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror or os.strerror(error.errno or 0)})"
    return ""


def left_out_note(reasons: Sequence[str]) -> str:
    """Returns a line that says how many files are left out and why the first one is.

    ``reasons``: of each file; the line is empty where there are none.
    """
    if not reasons:
        return ""
    count = "1 file" if len(reasons) == 1 else f"{len(reasons)} files"
    return f"{count} left out ({reasons[0]}); 'airreid data check' names all"
