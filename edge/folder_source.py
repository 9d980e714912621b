"""A folder in which image files appear: each becomes one frame, whatever happens between."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from airreid import log
from airreid.errors import InputError
from airreid.images import read
from airreid.picture_files import is_leftover
from edge.crash_counter import CRASH_LIMIT, CrashCounter
from edge.folder import WatchedFolder, shown
from edge.frames import ClosedError, EncodeError, Frame, SpoolDiskError, SpoolFullError, track_of
from edge.metrics import Metrics
from edge.pipeline import Accepted, Pipeline
from edge.settings import WatchSettings
from edge.spool import Spool

_UNDER_WAY = 16
"""Files that are read ahead of the verdict on their frames."""
_MOVES_AT_ONCE = 8
"""Files that are moved before the spool is told of them."""
_RETRY_SECONDS = 1.0
"""Pause between two scans while something keeps files from being taken."""
_PARTIAL = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".lock")


def is_ours(name: str) -> bool:
    """Whether a name is that of a whole file that was put there to be sent.

    Names of hidden files, of leftovers and of files that are still being written are not. What
    is no image after all is rejected when it is read.
    """
    return not is_leftover(Path(name)) and not name.lower().endswith(_PARTIAL)


def file_key(name: str, image: bytes) -> str:
    """Names a file by its name and its contents, which outlive a crash and another mount."""
    return hashlib.sha256(os.fsencode(name) + b"\0" + image).hexdigest()


class PauseReason(Enum):
    """A reason for which no files are taken; part of the event ``watch_stopped_by_...``."""

    FOLDER = "folder"
    """The folder is missing or cannot be read."""
    SPOOL = "spool"
    """The spool cannot be written."""
    SPOOL_FULL = "room"
    """The spool, or its disk, has no room for another frame."""
    ERROR = "error"
    """Anything else."""


@dataclass
class _Seen:
    """A file as of the last scans."""

    signature: tuple[int, int, int]
    since: float
    """Monotonic seconds at which it was first seen like that."""
    settled: bool = False
    """Unchanged between two scans."""
    not_before: float = 0.0
    """Monotonic seconds before which it is left alone."""


@dataclass(frozen=True)
class _UnderWay:
    """A file whose frame is with the pipeline."""

    name: str
    key: str
    future: Future[Accepted]


class FolderSource:
    """One thread that scans the folder and hands its files over.

    A file is moved only after its frame is in the spool, and the spool remembers the file
    until the move is on the disk: a crash between the two neither loses nor doubles it.
    """

    def __init__(
        self, settings: WatchSettings, pipeline: Pipeline, spool: Spool, metrics: Metrics
    ) -> None:
        """Raises :class:`InputError` for a folder that is missing or watched by another edge."""
        self._settings = settings
        self._pipeline = pipeline
        self._spool = spool
        self._metrics = metrics
        self._folder = WatchedFolder(settings.folder)
        self._crash_counter = CrashCounter(settings.marks)
        self._seen: dict[str, _Seen] = {}
        self._handing_over = spool.handing_over()
        self._to_move: list[tuple[str, int, str]] = []
        """Name, sequence and key of accepted files."""
        self._away: list[tuple[str, int]] = []
        """Key and sequence of files that are moved, which the spool is still to be told."""
        self._told: set[str] = set()
        """Links and folders that the log has named."""
        self._paused_by: PauseReason | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._reconcile()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after the files that are under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30.0)
        self._folder.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._folder.reopen()
                self._take(self._scan())
                if self._paused_by is not PauseReason.SPOOL_FULL and not self._away:
                    self._resume()
            except OSError as error:
                self._pause(PauseReason.FOLDER, error.strerror or str(error))
            except sqlite3.Error as error:
                self._pause(PauseReason.SPOOL, str(error))
            except Exception as error:  # the thread must go on: files keep coming
                self._pause(PauseReason.ERROR, repr(error))
            slow = _RETRY_SECONDS if self._paused_by else 0.0
            self._stop.wait(max(self._settings.poll_seconds, slow))

    def _reconcile(self) -> None:
        """Moves what was accepted before the edge last ended, and forgets what is away."""
        if not self._handing_over:
            return
        unread = False
        try:
            for name, _ in self._folder.files():
                if is_ours(name):
                    try:
                        key = file_key(name, read(self._settings.folder / name))
                    except InputError:  # too large, say: the first scan tells
                        unread = True
                        continue
                    if key in self._handing_over:
                        self._to_move.append((name, self._handing_over[key], key))
            still_here = {key for _, _, key in self._to_move}
            if not unread:  # it might be one that was accepted
                self._away = [
                    (key, sequence)
                    for key, sequence in self._handing_over.items()
                    if key not in still_here
                ]
            self._flush()
        except OSError as error:
            raise InputError(f"{self._settings.folder}: cannot be watched ({error})") from None

    def _scan(self) -> list[str]:
        """Names of the files to be taken now: the oldest first, those of crashes last."""
        now, present, ready = time.monotonic(), {}, []
        for name, stat in self._folder.files():
            if not is_ours(name):
                continue
            signature = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            state = self._seen.get(name)
            if state is None or state.signature != signature:
                state = _Seen(signature, now)
            else:
                state.settled = True
            present[name] = state
            if state.settled and now >= state.not_before:
                ready.append((self._crash_counter.crashes(name), stat.st_mtime_ns, name))
        self._seen = present
        self._tell_of_others()
        return [name for _, _, name in sorted(ready)]

    def _tell_of_others(self) -> None:
        """Says once of each link and folder that it is not taken."""
        passed_over = {
            name: what for name, what in self._folder.passed_over.items() if is_ours(name)
        }
        for name in passed_over.keys() - self._told:
            log.warning("file_passed_over", file=shown(name), reason=passed_over[name])
        self._told = set(passed_over)

    def _take(self, names: list[str]) -> None:
        """Takes files, some at a time, until the list or the room in the spool ends."""
        under_way: deque[_UnderWay] = deque()
        going_on = True
        try:
            for name in names:
                if self._stop.is_set() or not going_on:
                    break
                file = self._offer(name)
                if file is not None:
                    under_way.append(file)
                at_most = 0 if self._crash_counter.crashes(name) else _UNDER_WAY - 1
                while len(under_way) > at_most or (under_way and under_way[0].future.done()):
                    going_on = self._finish(under_way.popleft()) and going_on
        finally:  # what was offered may be accepted, whatever else went wrong
            for file in under_way:
                going_on = self._finish(file) and going_on
            self._flush()
        if going_on and self._paused_by is PauseReason.SPOOL_FULL:
            self._resume()

    def _offer(self, name: str) -> _UnderWay | None:
        """Reads a file and queues its frame, unless it only has to be moved."""
        path, state = self._settings.folder / name, self._seen[name]
        if self._crash_counter.crashes(name) >= CRASH_LIMIT:
            self._reject(
                name, f"{shown(name)}: the edge ended {CRASH_LIMIT} times while it was read"
            )
            return None
        self._crash_counter.begin(name)
        file = self._read(name, path, state)
        if file is None:
            self._crash_counter.end(name)
        return file

    def _read(self, name: str, path: Path, state: _Seen) -> _UnderWay | None:
        """Queues the frame of a file that is still as it was seen; None if it is not."""
        try:
            image = read(path)
            stat = path.stat()
            if state.signature != (stat.st_ino, stat.st_size, stat.st_mtime_ns):
                return None  # changed in between: the next scans will tell
            key = file_key(name, image)
            if key in self._handing_over:
                self._to_move.append((name, self._handing_over[key], key))
                return None
            frame = Frame("watch", shown(name), image, track_of(shown(name)), file_key=key)
        except FileNotFoundError:
            return None
        except InputError as error:
            if path.exists():
                self._unusable(name, str(error))
            return None
        return _UnderWay(name, key, self._pipeline.submit(frame))

    def _finish(self, file: _UnderWay) -> bool:
        """Does what the verdict on a file asks for; False if no more should be taken now."""
        try:
            accepted = file.future.result()
        except InputError as error:
            self._unusable(file.name, str(error))
        except EncodeError as error:
            self._reject(file.name, str(error))
        except (SpoolFullError, SpoolDiskError) as error:
            self._crash_counter.end(file.name)
            self._pause(PauseReason.SPOOL_FULL, str(error))
            return False
        except ClosedError:
            self._crash_counter.end(file.name)
            return False
        else:
            self._crash_counter.end(file.name)
            self._handing_over[file.key] = accepted.sequence
            self._to_move.append((file.name, accepted.sequence, file.key))
            if len(self._to_move) >= _MOVES_AT_ONCE:
                self._flush()
        return True

    def _flush(self) -> None:
        """Moves accepted files away; once that is on the disk, lets the spool forget them."""
        for name, sequence, key in self._to_move:
            try:
                if self._settings.after == "delete":
                    self._folder.delete(name)
                else:
                    self._folder.move(name, "done", f"~{sequence}")
                self._away.append((key, sequence))
            except OSError as error:
                self._put_off(name)
                log.warning("file_not_moved", file=shown(name), reason=error.strerror)
        self._to_move = []
        if not self._away:
            return
        try:
            self._folder.sync()
            self._spool.handed_over([sequence for _, sequence in self._away])
        except (OSError, sqlite3.Error) as error:
            self._pause(PauseReason.SPOOL, str(error))
            return
        for key, _ in self._away:
            self._handing_over.pop(key, None)
        self._away = []

    def _unusable(self, name: str, reason: str) -> None:
        """Leaves a file that may be growing still alone for a while; then rejects it."""
        self._crash_counter.end(name)
        state = self._seen[name]
        ripe = state.since + self._settings.settle_seconds
        if time.monotonic() < ripe:
            state.not_before = ripe
        else:
            self._reject(name, reason)

    def _reject(self, name: str, reason: str) -> None:
        self._crash_counter.end(name)
        try:
            self._folder.reject(name, reason)
        except OSError as error:
            self._put_off(name)
            log.warning("file_not_moved", file=shown(name), reason=error.strerror)
            return
        self._metrics.rejected.labels("watch").inc()
        log.warning("frame_rejected", file=shown(name), reason=reason)

    def _put_off(self, name: str) -> None:
        if name in self._seen:
            self._seen[name].not_before = time.monotonic() + 10 * _RETRY_SECONDS

    def _pause(self, by: PauseReason, details: str) -> None:
        """Says once what keeps files from being taken."""
        if self._paused_by is not by:
            log.warning(f"watch_stopped_by_{by.value}", reason=details)
        self._paused_by = by

    def _resume(self) -> None:
        if self._paused_by:
            log.event("watch_goes_on")
        self._paused_by = None
