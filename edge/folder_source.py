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
from pathlib import Path

from airreid import log
from airreid.errors import InputError
from airreid.images import SUFFIXES, read
from edge.crash_counter import LIMIT, Suspects
from edge.folder import WatchedFolder, shown
from edge.frames import ClosedError, EncodeError, Frame, SpoolDiskError, SpoolFullError, track_of
from edge.metrics import Metrics
from edge.pipeline import Accepted, Pipeline
from edge.settings import WatchSettings
from edge.spool import Spool

_UNDER_WAY = 16
_MOVES_AT_ONCE = 8
_RETRY_SECONDS = 1.0
_PARTIAL = (".tmp", ".part", ".partial", "~")


def is_ours(name: str) -> bool:
    """Is this the name of a whole image? Dot files and partial names are not."""
    if name.startswith(".") or name.endswith(_PARTIAL):
        return False
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122


def file_key(name: str, image: bytes) -> str:
    """Names a file by its name and its contents: what survives a crash and another mount."""
    return hashlib.sha256(os.fsencode(name) + b"\0" + image).hexdigest()


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
    name: str
    key: str
    future: Future[Accepted]


class Watcher:
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
        self._suspects = Suspects(settings.marks)
        self._seen: dict[str, _Seen] = {}
        self._handing_over = spool.handing_over()
        self._to_move: list[tuple[str, int, str]] = []
        """Name, sequence and key of accepted files."""
        self._away: list[tuple[str, int]] = []
        """Key and sequence of files that are moved, which the spool is still to be told."""
        self._trouble = ""
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
                self._turn(self._scan())
                if self._trouble != "room" and not self._away:
                    self._well()
            except OSError as error:
                self._ill("folder", reason=error.strerror or str(error))
            except sqlite3.Error as error:
                self._ill("spool", reason=str(error))
            except Exception as error:  # the thread must go on: files keep coming
                self._ill("error", reason=repr(error))
            slow = _RETRY_SECONDS if self._trouble else 0.0
            self._stop.wait(max(self._settings.poll_seconds, slow))

    def _reconcile(self) -> None:
        """Moves what was accepted before the edge last ended, and forgets what is away."""
        if not self._handing_over:
            return
        try:
            for name, _ in self._folder.files():
                if is_ours(name):
                    key = file_key(name, read(self._settings.folder / name))
                    if key in self._handing_over:
                        self._to_move.append((name, self._handing_over[key], key))
            there = {key for _, _, key in self._to_move}
            self._away = [one for one in self._handing_over.items() if one[0] not in there]
            self._flush()
        except OSError as error:
            raise InputError(f"{self._settings.folder}: cannot be watched ({error})") from None

    def _scan(self) -> list[str]:
        """Names of the files that are to be taken now: the oldest first, suspects last."""
        now, found, ready = time.monotonic(), {}, []
        for name, stat in self._folder.files():
            if not is_ours(name):
                continue
            signature = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            seen = self._seen.get(name)
            if seen is None or seen.signature != signature:
                seen = _Seen(signature, now)
            else:
                seen.settled = True
            found[name] = seen
            if seen.settled and now >= seen.not_before:
                ready.append((self._suspects.deaths(name), stat.st_mtime_ns, name))
        self._seen = found
        return [name for _, _, name in sorted(ready)]

    def _turn(self, names: list[str]) -> None:
        """Takes files, some at a time, until the list or the room in the spool ends."""
        under_way: deque[_UnderWay] = deque()
        going_on = True
        try:
            for name in names:
                if self._stop.is_set() or not going_on:
                    break
                one = self._offer(name)
                if one is not None:
                    under_way.append(one)
                at_most = 0 if self._suspects.deaths(name) else _UNDER_WAY - 1
                while len(under_way) > at_most or (under_way and under_way[0].future.done()):
                    going_on = self._finish(under_way.popleft()) and going_on
        finally:  # what was offered may be accepted, whatever else went wrong
            for one in under_way:
                going_on = self._finish(one) and going_on
            self._flush()
        if going_on and self._trouble == "room":
            self._well()

    def _offer(self, name: str) -> _UnderWay | None:
        """Reads a file and queues its frame, unless it only has to be moved."""
        path, seen = self._settings.folder / name, self._seen[name]
        if self._suspects.deaths(name) >= LIMIT:
            self._reject(name, f"{shown(name)}: the edge ended {LIMIT} times while it was read")
            return None
        self._suspects.begin(name)
        one = self._read(name, path, seen)
        if one is None:
            self._suspects.end(name)
        return one

    def _read(self, name: str, path: Path, seen: _Seen) -> _UnderWay | None:
        try:
            image = read(path)
            stat = path.stat()
            if seen.signature != (stat.st_ino, stat.st_size, stat.st_mtime_ns):
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

    def _finish(self, one: _UnderWay) -> bool:
        """Does what the verdict asks for; False if nothing more should be taken now."""
        try:
            accepted = one.future.result()
        except InputError as error:
            self._unusable(one.name, str(error))
        except EncodeError as error:
            self._reject(one.name, str(error))
        except (SpoolFullError, SpoolDiskError) as error:
            self._suspects.end(one.name)
            self._ill("room", reason=str(error))
            return False
        except ClosedError:
            self._suspects.end(one.name)
            return False
        else:
            self._suspects.end(one.name)
            self._handing_over[one.key] = accepted.sequence
            self._to_move.append((one.name, accepted.sequence, one.key))
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
            self._ill("spool", reason=str(error))
            return
        for key, _ in self._away:
            self._handing_over.pop(key, None)
        self._away = []

    def _unusable(self, name: str, reason: str) -> None:
        """A file that may be growing still is left alone for a while; then it is rejected."""
        self._suspects.end(name)
        seen = self._seen[name]
        ripe = seen.since + self._settings.settle_seconds
        if time.monotonic() < ripe:
            seen.not_before = ripe
        else:
            self._reject(name, reason)

    def _reject(self, name: str, reason: str) -> None:
        self._suspects.end(name)
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

    def _ill(self, trouble: str, reason: str) -> None:
        """Says once what keeps files from being taken."""
        if self._trouble != trouble:
            log.warning(f"watch_stopped_by_{trouble}", reason=reason)
        self._trouble = trouble

    def _well(self) -> None:
        if self._trouble:
            log.event("watch_goes_on")
        self._trouble = ""
