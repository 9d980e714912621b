"""The files of a watched folder, and where they go: ``done/`` and ``rejected/``."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from airreid.disk import open_private, private_folder, sync_folder
from airreid.errors import InputError
from edge.frames import NAME_MAX

DONE, REJECTED = "done", "rejected"
_NAME_BYTES = 200
"""Names are cut to this where something is added to them; file systems take 255."""
_SUFFIX_BYTES = 16
"""A longer suffix is cut with the name."""


def shown(name: str) -> str:
    """A file's name as text that can be stored and printed, whatever bytes it has."""
    return os.fsencode(name).decode("utf-8", "replace")[:NAME_MAX]


def _what_it_is(entry: os.DirEntry[str]) -> str:
    """Says what an entry is that is no plain file."""
    if entry.is_symlink():
        return "a link, which is not followed; put the file itself there"
    if entry.is_dir(follow_symlinks=False):
        return "a folder; only the files of the watched folder itself are taken"
    return "a pipe or a device; put an image file there"


def check_folder(path: Path) -> None:
    """Raises :class:`InputError` for a watched folder that is missing."""
    if not path.exists():
        raise _missing(path)


def _missing(path: Path) -> InputError:
    return InputError(f"{path}: no such folder; make it, or mend --watch")


class WatchedFolder:
    """A folder that is locked: two edges would take every file twice."""

    def __init__(self, path: Path) -> None:
        """Raises :class:`InputError` for a folder that is missing, not ours, or watched."""
        self.path = path
        self.passed_over: dict[str, str] = {}
        """Links, folders and the like that the last listing saw: name and what it is."""
        self._held = -1
        try:
            self.reopen()
        except BlockingIOError:
            raise InputError(
                f"{path}: watched by another edge; stop it or watch another folder"
            ) from None
        except FileNotFoundError:
            raise _missing(path) from None
        except OSError as error:
            raise InputError(f"{path}: cannot be watched ({error.strerror})") from None

    def reopen(self) -> None:
        """Takes hold of the folder, anew if it is another one than it was.

        Raises :class:`OSError` while it is missing, cannot be written to, or is held by
        another edge.
        """
        if self._held >= 0 and os.path.samestat(os.fstat(self._held), self.path.stat()):
            return
        self.close()
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for inside in (DONE, REJECTED):
                private_folder(self.path / inside)
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(13, "no permission to move files", str(self.path))
        except OSError:
            os.close(fd)
            raise
        self._held = fd

    def close(self) -> None:
        if self._held >= 0:
            os.close(self._held)
        self._held = -1

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Lists plain files, without links and folders. Raises :class:`OSError`."""
        passed_over: dict[str, str] = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False):
                        yield entry.name, entry.stat(follow_symlinks=False)
                    elif entry.name not in (DONE, REJECTED):
                        passed_over[entry.name] = _what_it_is(entry)
        self.passed_over = passed_over

    def delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.path / name).unlink()

    def move(self, name: str, inside: str, mark: str) -> Path:
        """Renames a file into ``inside``; ``mark`` makes its name another one if it is taken.

        A file that is gone is no error. Raises :class:`OSError`.
        """
        target = self._free(inside, name, mark)
        private_folder(target.parent)
        with contextlib.suppress(FileNotFoundError):
            (self.path / name).rename(target)
        return target

    def reject(self, name: str, reason: str) -> Path:
        """Moves a file into ``rejected/`` with its reason beside it, which comes first."""
        number = 0
        while (target := self._free(REJECTED, name, f"~{number}" if number else "")).exists():
            number += 1
        private_folder(target.parent)
        with open_private(target.with_name(target.name + ".reason"), "w") as file:
            file.write(reason + "\n")
        with contextlib.suppress(FileNotFoundError):
            (self.path / name).rename(target)
        return target

    def sync(self) -> None:
        """Forces the moves onto the disk."""
        os.fsync(self._held)
        done = self.path / DONE
        if done.is_dir():
            sync_folder(done)

    def _free(self, inside: str, name: str, mark: str) -> Path:
        folder = self.path / inside
        if len(os.fsencode(name)) > _NAME_BYTES:
            stem, suffix = os.path.splitext(name)  # noqa: PTH122
            if len(os.fsencode(suffix)) > _SUFFIX_BYTES:
                stem, suffix = name, ""
            name = os.fsdecode(os.fsencode(stem)[:_NAME_BYTES]) + suffix
        target = folder / name
        if mark and target.exists():
            target = target.with_name(f"{target.stem}{mark}{target.suffix}")
        return target
