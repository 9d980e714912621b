"""Audit log: who did what to whom, one JSON object a line, on disk before the answer.

Names and numbers only; a feature, an image or a token never comes into it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from accesspoint.api.auth import Principal
from accesspoint.errors import StorageError
from accesspoint.gallery.store.disk_room import DiskRoom
from airreid import log
from airreid.disk import private_descriptor

FILE_NAME = "audit.jsonl"
_LINE_MAX = 16 << 20
"""Longest tail that is looked through for its beginning."""
_TORN_SHOWN = 4000


class Audit:
    """Writer of ``audit.jsonl`` in the data folder; safe in any thread and beside others.

    The file is opened anew for each line, so that it may be moved away (logrotate). Lines that
    the disk did not take are kept and written before any other; while there are some,
    :meth:`check` lets nobody begin a change.
    """

    def __init__(self, data_dir: Path, room: DiskRoom | None = None) -> None:
        """``room`` may be given up for a line that does not fit on the disk."""
        self.path = data_dir / FILE_NAME
        self._room = room
        self._lock = threading.Lock()
        self._pending: list[bytes] = []

    def record(self, who: Principal, action: str, **fields: object) -> None:
        """Appends a line: time, who, how they showed it, action, fields.

        Raises :class:`StorageError` if the disk does not take it, and the change must then not
        be acknowledged. It is done all the same, and the line follows as soon as there is room.
        """
        line = {
            "time": round(time.time(), 3),
            "who": who.name,
            "by": who.kind,
            "action": action,
            **fields,
        }
        with self._lock:
            self._pending.append((json.dumps(line, ensure_ascii=False) + "\n").encode())
            if problem := self._flush():
                log.warning("audit_write_failed", action=action, error=problem)
                raise StorageError(
                    f"the audit log cannot be written ({problem}): this was done, and is not "
                    "acknowledged before its line is written; mend the disk, then look"
                )

    def check(self) -> None:
        """Raises :class:`StorageError` while there are lines that the disk has not taken."""
        if problem := self.problem:
            raise StorageError(problem)

    @property
    def problem(self) -> str:
        """Reason that nothing may be changed now; empty if there is none. Tries what waits."""
        if not self._pending:
            return ""
        with self._lock:
            if not (problem := self._flush()):
                return ""
        return f"the audit log cannot be written ({problem}); nothing is changed until it can"

    def repair(self) -> None:
        """Makes a whole line of a last one that a power cut has torn, and tells of it."""
        with self._lock, contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_size:
                try:
                    with self._opened():
                        pass
                except OSError as error:
                    log.warning("audit_not_repaired", error=str(error))

    def damaged_lines(self, most: int = 100) -> list[int]:
        """Returns the numbers, from 1, of lines that are no JSON objects, at most so many."""
        numbers: list[int] = []
        with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
            with self._lock:  # what is appended from here on may be half a line for a moment
                size = self.path.stat().st_size
            number = 0
            while file.tell() < size and (line := file.readline(_LINE_MAX)):
                number += 1
                if not _is_whole(line):
                    numbers.append(number)
                if len(numbers) == most:
                    break
        return numbers

    def _flush(self) -> str:
        """Writes what waits, in the order it was recorded; what went wrong, or nothing."""
        problem = self._write()
        if problem and self._room is not None and self._room.release():
            problem = self._write()
        return problem

    def _write(self) -> str:
        try:
            with self._opened() as descriptor:
                start = os.fstat(descriptor).st_size
                try:
                    _write_all(descriptor, b"".join(self._pending), start)
                    os.fsync(descriptor)
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.ftruncate(descriptor, start)  # no part of a line stays
                    raise
        except OSError as error:
            return error.strerror or str(error)
        self._pending.clear()
        return ""

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """Opens the file, locked against other writers, its last line whole."""
        descriptor = private_descriptor(self.path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _mend(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)


def _is_whole(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _mend(descriptor: int) -> None:
    """Ends a torn last line, as an object that holds what is left of it."""
    size = os.fstat(descriptor).st_size
    if not size or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    tail = os.pread(descriptor, _LINE_MAX, max(0, size - _LINE_MAX))
    torn = tail[tail.rfind(b"\n") + 1 :]
    start = size - len(torn)
    log.warning("audit_line_torn", bytes=len(torn))
    try:
        json.loads(torn)
        line = torn + b"\n"
    except ValueError:
        shown = torn.decode("utf-8", "replace")[:_TORN_SHOWN]
        fields = {"time": round(time.time(), 3), "who": "access point", "by": "local"}
        line = (json.dumps(fields | {"action": "torn_line", "text": shown}) + "\n").encode()
    _write_all(descriptor, line, start)
    os.ftruncate(descriptor, start + len(line))
    os.fsync(descriptor)


def _write_all(descriptor: int, data: bytes, place: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, place)
        data, place = data[written:], place + written
