"""A SQLite file with one connection that writes and one that reads, safe in any thread."""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accesspoint.gallery.store import schema
from airreid import log
from airreid.disk import make_private, open_private, private_folder
from airreid.errors import InputError

_CHECKED_AT_ONCE = 64 << 20
IDS_AT_ONCE = 500
"""Values in one statement, at most."""


class Database:
    """The gallery's file, held by one process: the file beside it, ``*.lock``, says so.

    What :meth:`writing` has committed survives a kill and a power cut (write-ahead log,
    ``synchronous=FULL``). Readers do not wait for a commit. Deleted content is
    overwritten (``secure_delete``); :meth:`empty_log` takes it out of the log as well.
    """

    def __init__(self, path: Path) -> None:
        """Raises :class:`InputError` for a file that is in use, damaged or no gallery."""
        self.path = path
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()
        try:
            private_folder(path.parent)
            self._held = open_private(path.with_suffix(".lock"), "w")
        except OSError as error:
            raise InputError(f"{path}: cannot be used as a gallery ({error})") from None
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            make_private(path)  # the log beside it takes the same
            self._writer = self._connect()
            schema.prepare(self._writer, path)
            self._checked = False
            if path.stat().st_size <= _CHECKED_AT_ONCE:
                self.check()
            self._reader = self._connect()
            self._reader.execute("PRAGMA query_only = ON")
        except BlockingIOError:
            self._held.close()
            raise InputError(
                f"{path}: in use by another access point; stop it or use another --data-dir"
            ) from None
        except (sqlite3.Error, OSError) as error:
            self._give_up()
            raise InputError(f"{path}: cannot be used as a gallery ({error})") from None
        except InputError:
            self._give_up()
            raise

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        for pragma in (
            "auto_vacuum = INCREMENTAL",  # counts in a new file only, before its first table
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "secure_delete = ON",
            "trusted_schema = OFF",
        ):
            db.execute(f"PRAGMA {pragma}").fetchall()
        return db

    def check(self) -> None:
        """Reads the whole file, once; called later for a large one, which takes seconds.

        Raises :class:`InputError` for a damaged file.
        """
        if self._checked:
            return
        with contextlib.closing(self._connect()) as db:
            try:
                verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            except sqlite3.DatabaseError as error:
                verdict = str(error)
        if verdict != "ok":
            raise InputError(f"{self.path}: the gallery is damaged ({verdict}); restore a backup")
        self._checked = True

    def _give_up(self) -> None:
        for name in ("_writer", "_reader"):
            if (db := getattr(self, name, None)) is not None:
                db.close()
        self._held.close()

    def close(self) -> None:
        """Closes the connections and lets others have the file."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()
            self._held.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Runs a block between BEGIN IMMEDIATE and COMMIT, or ROLLBACK when it raises."""
        with self._write_lock:
            db = self._writer
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:  # the block failed, or the commit did: a full disk
                    db.execute("ROLLBACK")

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Returns all rows of a query, as of the last commit."""
        with self._read_lock:
            return self._reader.execute(query, values).fetchall()

    def row(self, query: str, values: tuple[Any, ...] = ()) -> Any:
        """Returns the first row of a query, or None."""
        return next(iter(self.rows(query, values)), None)

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
        with self._write_lock, self._read_lock:
            # A script, since a statement by itself would be stepped once, for one page.
            self._writer.executescript("PRAGMA incremental_vacuum")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
