"""Files and folders on disk: written for good, for their owner alone, told by their contents."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import IO, Any

from airreid.errors import InputError

_AT_ONCE = getattr(os, "O_NONBLOCK", 0)


def sync_folder(folder: Path) -> None:
    """Waits until what was made, renamed or removed in it is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_regular(path: Path, most: int) -> bytes:
    """Returns a file's contents, at most so many bytes.

    Raises :class:`OSError` for more, and for a pipe or a device, which may have no end.
    """
    # not blocking: a pipe would wait for a writer
    descriptor = os.open(path, os.O_RDONLY | _AT_ONCE)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        data = b""
        if status.st_size <= most:
            # as much as is there: to ask for the most would take that memory at once
            data = file.read(status.st_size + 1)
            if len(data) > status.st_size:  # it has grown
                data += file.read(most + 1 - len(data))
    if max(status.st_size, len(data)) > most:
        raise OSError(errno.EFBIG, f"Over {most} bytes", str(path))
    return data


def read_given(path: Path, most: int) -> bytes:
    """Returns the contents of a file that a user named, at most so many bytes.

    Raises :class:`InputError` that names the file, as for :func:`read_regular`.
    """
    try:
        return read_regular(path, most)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValueError as error:  # NUL, or text that no file system encodes
        raise InputError(f"{str(path)!r}: no path of a file ({error}); give another") from None


def read_given_text(path: Path, most: int, encoding: str = "utf-8") -> str:
    """Returns the text of a file that a user named; see :func:`read_given`."""
    try:
        return read_given(path, most).decode(encoding)
    except UnicodeError as error:
        raise InputError(f"{path}: not a text file ({error})") from None


def private_folder(path: Path) -> None:
    """Makes a folder, and those above it that are missing, for their owner alone.

    One that is there stays as it is: it may be shared on purpose.
    """
    for folder in (*reversed(path.parents), path):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)


def private_descriptor(path: str | Path, flags: int) -> int:
    """Opens a file as ``os.open`` does, for its owner alone whatever the umask: a new one and
    one that others could read until now. A pipe that nobody reads raises :class:`OSError`."""
    descriptor = os.open(path, flags | _AT_ONCE, 0o600)
    mode = os.fstat(descriptor).st_mode
    if mode & 0o077 and stat.S_ISREG(mode):
        with contextlib.suppress(OSError):  # somebody else's file, who lets us write
            os.fchmod(descriptor, mode & 0o700)
    return descriptor


def open_private(path: Path, mode: str = "wb") -> IO[Any]:
    """Opens a file for writing, for its owner alone: see :func:`private_descriptor`."""
    encoding = None if "b" in mode else "utf-8"
    return open(path, mode, encoding=encoding, opener=private_descriptor)


def make_private(path: Path) -> None:
    """Makes an empty file if there is none, for its owner alone; SQLite gives the files that
    it puts beside it the same rights."""
    os.close(private_descriptor(path, os.O_RDWR | os.O_CREAT))
