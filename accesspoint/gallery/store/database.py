"""A SQLite file with one connection that writes and one that reads, safe in any thread."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from accesspoint.errors import ConflictError, StorageError
from accesspoint.gallery.store import connecting, schema
from accesspoint.gallery.store.disk_room import DiskRoom
from accesspoint.gallery.store.held_files import HeldFiles
from airreid import log
from airreid.errors import InputError

_CHECKED_AT_ONCE = 64 << 20
IDS_AT_ONCE = 500
"""Values in one statement, at most."""
_LOOKED_AT_S = 0.25
"""Age up to which what is known of the files and the disk is believed."""
READ_ONLY = "this access point only reads its gallery: start it without --read-only to change it"
Result = TypeVar("Result")


class Database:
    """The gallery's file, held by one process: see :class:`HeldFiles`.

    What :meth:`writing` has committed survives a kill and a power cut (write-ahead log,
    ``synchronous=FULL``). Readers do not wait for a commit. Deleted content is
    overwritten (``secure_delete``); :meth:`empty_log` takes it out of the log as well.
    """

    def __init__(self, path: Path, read_only: bool = False) -> None:
        """``read_only`` changes no file and needs no room on the disk. Raises
        :class:`InputError` for a file that is in use, damaged, gone or no gallery."""
        self.path = path
        self.read_only = read_only
        self.room = DiskRoom(path.parent)
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()
        self._checked = False
        self._looked_at = 0.0
        self._known_problem = ""
        self._files = HeldFiles(path, read_only)
        try:
            self._open_connections()
            if path.stat().st_size <= _CHECKED_AT_ONCE:
                self.check()
        except (sqlite3.Error, OSError) as error:
            self._give_up()
            raise InputError(f"{path}: cannot be used as a gallery ({error})") from None
        except InputError:
            self._give_up()
            raise
        if not read_only:
            self.room.fill()

    def _open_connections(self) -> None:
        if self.read_only:
            self._reader = self._writer = connecting.open_read_only(self.path)
            schema.check(self._reader, self.path)
            return
        try:
            self._writer = self._prepared()
        except sqlite3.OperationalError as error:
            if not (connecting.disk_failed(error) and self.room.release()):
                raise
            self._writer = self._prepared()
        self._reader = connecting.open_writable(self.path)
        self._reader.execute("PRAGMA query_only = ON")
        self._reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        self._files.watch_log()

    def _prepared(self) -> sqlite3.Connection:
        db = connecting.open_writable(self.path)
        try:
            schema.prepare(db, self.path)
        except BaseException:
            db.close()
            raise
        return db

    def check(self) -> None:
        """Reads the whole file, once; called later for a large one, which takes seconds.

        Raises :class:`InputError` for a damaged file, :class:`StorageError` where it cannot be
        opened now.
        """
        if self._checked:
            return
        if (verdict := self.verdict()) != "ok":
            raise InputError(f"{self.path}: the gallery is damaged ({verdict}); restore a backup")
        self._checked = True

    def verdict(self) -> str:
        """Reads the whole file. Returns ``ok``, or what SQLite finds wrong with it.

        Raises :class:`StorageError` where it cannot be opened now, for want of a descriptor say:
        that is no damage.
        """
        query = "PRAGMA quick_check(1)"
        try:
            if self.read_only:
                verdict = self.row(query)[0]
            else:
                with contextlib.closing(connecting.open_writable(self.path)) as db:
                    verdict = db.execute(query).fetchone()[0]
            return " ".join(str(verdict).replace("*** in database main ***", "").split())
        except sqlite3.DatabaseError as error:
            if connecting.cannot_open(error):
                raise StorageError(
                    f"{self.path}: cannot be looked through now ({error}); have it done again, "
                    "with more descriptors (ulimit -n) if this process is short of them"
                ) from None
            return str(error)

    def bytes_at(self, size: int, offset: int) -> bytes:
        """Reads bytes of the file without a descriptor more; fewer at its end."""
        return self._files.bytes_at(size, offset)

    def _give_up(self) -> None:
        for name in ("_writer", "_reader"):
            if (db := getattr(self, name, None)) is not None:
                db.close()
        self._files.close()

    def close(self) -> None:
        """Closes the connections and lets others have the file."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()
            self._files.close()

    # What has become of the files

    def files_problem(self) -> str:
        """Returns what has become of the gallery's files on disk; empty if nothing has."""
        return self._files.problem()

    def problem(self) -> str:
        """Returns why the gallery cannot be changed, as of a moment ago; empty if it can."""
        now = time.monotonic()
        if now - self._looked_at > _LOOKED_AT_S:
            self._known_problem = self.files_problem()
            if not self._known_problem and not self.read_only:
                self.room.fill()
                self._known_problem = self.room.problem()
            self._looked_at = now
        return self._known_problem

    # Writing

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Runs a block between BEGIN IMMEDIATE and COMMIT, or ROLLBACK when it raises.

        Raises :class:`StorageError` for files that were removed or replaced and for a disk
        that takes no more, :class:`ConflictError` for a gallery that is only read.
        """
        if self.read_only:
            raise ConflictError(READ_ONLY)
        with self._write_lock:
            db = self._writer
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                if problem := self.files_problem():  # it would be acknowledged into nothing
                    raise StorageError(problem)
                db.execute("COMMIT")
            except sqlite3.OperationalError as error:
                if not connecting.disk_failed(error):
                    raise
                raise StorageError(
                    f"the disk of the data folder takes no more ({error}); make room on it"
                ) from None
            finally:
                if db.in_transaction:  # the block failed, or the commit did: a full disk
                    db.execute("ROLLBACK")

    def deleting(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Runs a deletion as :meth:`writing` does; on a full disk again, in the room that is
        kept for it."""
        try:
            with self.writing() as db:
                return work(db)
        except StorageError:
            if self.files_problem() or not self.room.release():
                raise
        with self.writing() as db:
            return work(db)

    def check_room(self) -> None:
        """Raises :class:`StorageError` where the disk has too little room to add anything."""
        if not self.read_only:
            self.room.check()

    # Reading

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Returns all rows of a query, as of the last commit.

        In damaged text, what is no UTF-8 comes as U+FFFD, so that it keeps nobody from the rest.
        """
        with self._read_lock:
            try:
                return self._reader.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                if not connecting.text_damaged(error):
                    raise
                log.warning("text_damaged", error=str(error))
            for db in (self._reader, self._writer):
                connecting.read_damaged_text(db)
            return self._reader.execute(query, values).fetchall()

    def row(self, query: str, values: tuple[Any, ...] = ()) -> Any:
        """Returns the first row of a query, or None."""
        return next(iter(self.rows(query, values)), None)

    # Upkeep

    def empty_log(self) -> None:
        """Moves the write-ahead log into the file, so that deleted content is in neither.

        A disk that cannot take it now gets a line in the program's log and no error: what
        was committed stays so, and the indexes must follow.
        """
        with self._write_lock, self._read_lock:
            try:
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.OperationalError as error:
                log.warning("write_ahead_log_not_emptied", error=str(error))

    def give_back_free_pages(self) -> None:
        """Cuts free pages, which were overwritten with zeros, off the end of the file."""
        if self.read_only:
            raise ConflictError(READ_ONLY)
        with self._write_lock, self._read_lock:
            # A script, since a statement by itself would be stepped once, for one page.
            self._writer.executescript("PRAGMA incremental_vacuum")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
