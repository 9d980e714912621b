"""Room on the disk: enrolment stops while there is some left, which deletions may use."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

from accesspoint.errors import StorageError
from airreid import log
from airreid.disk import private_descriptor

FILE_NAME = "reserve"
RESERVE_BYTES = 16 << 20
"""Size of the file that is given up when a deletion finds the disk full. A deletion writes each
page that it overwrites into the log first."""
LEAST_FREE_BYTES = 16 << 20
"""Free bytes below which nobody is enrolled; what is kept in reserve does not count."""


class DiskRoom:
    """Free bytes of a data folder's disk, and a reserve among them; safe in any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE_NAME
        self._lock = threading.Lock()

    def fill(self) -> None:
        """Takes the reserve, or takes it again, where that leaves enough for enrolment."""
        with self._lock, contextlib.suppress(OSError):
            missing = RESERVE_BYTES - (self._path.stat().st_size if self._path.exists() else 0)
            if missing <= 0 or self._free() < LEAST_FREE_BYTES + missing:
                return
            descriptor = private_descriptor(self._path, os.O_WRONLY | os.O_CREAT)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            finally:
                os.close(descriptor)

    def release(self) -> bool:
        """Gives the reserve up. Returns whether there was any."""
        with self._lock:
            try:
                if not self._path.stat().st_size:
                    return False
                os.truncate(self._path, 0)
            except OSError:
                return False
        log.warning("disk_reserve_used", folder=str(self._folder))
        return True

    def problem(self) -> str:
        """Returns why nobody is enrolled; empty while there is room."""
        try:
            free = self._free()
        except OSError as error:
            return f"the disk of the data folder cannot be asked ({error.strerror})"
        if free >= LEAST_FREE_BYTES:
            return ""
        return (
            f"the disk of the data folder has {free >> 10} KiB free; nobody is enrolled below "
            f"{LEAST_FREE_BYTES >> 20} MiB, deletions go on: make room on it"
        )

    def check(self) -> None:
        """Raises :class:`StorageError` where there is too little room to enrol."""
        if problem := self.problem():
            raise StorageError(problem)

    def _free(self) -> int:
        return shutil.disk_usage(self._folder).free
