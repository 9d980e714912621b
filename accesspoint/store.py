"""The gallery on disk: SQLite is the source of truth, whatever is acknowledged is in it."""

from __future__ import annotations

import fcntl
import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.errors import InputError

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE subjects (
    id TEXT PRIMARY KEY,
    created_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    camera TEXT NOT NULL,
    space_id TEXT NOT NULL,
    feature BLOB NOT NULL,
    created_at REAL NOT NULL
) STRICT;
CREATE INDEX entries_by_subject ON entries (subject, id);
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}")


@dataclass(frozen=True)
class NewEntry:
    """An entry to be stored; ``feature`` is float32 (feature_dim,)."""

    subject: str
    camera: str
    space_id: str
    feature: NDArray[np.float32]


@dataclass(frozen=True)
class Entry:
    """A stored entry, without its feature."""

    id: int
    subject: str
    camera: str
    created_at: float


def check_name(name: str, what: str) -> str:
    """A subject's or camera's id. Raises :class:`InputError` naming ``what``."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{what} {name[:40]!r}: use 1 to 128 letters, digits and . _ : @ + -, "
            "beginning with a letter or digit"
        )
    return name


class Store:
    """Subjects and entries in one SQLite file; every method is safe in any thread.

    A write that has returned survives a kill and a power cut (write-ahead log,
    ``synchronous=FULL``). Deleted content is overwritten (``secure_delete``) and taken
    out of the log. One process at a time: the file beside, ``*.lock``, is held.
    """

    def __init__(self, path: Path) -> None:
        """Raises :class:`InputError` for a file that is in use, damaged or no gallery."""
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._held = path.with_suffix(".lock").open("w")
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._held.close()
            raise InputError(
                f"{path}: in use by another access point; stop it or use another --data-dir"
            ) from None
        except OSError as error:
            raise InputError(f"{path}: cannot be used as a gallery ({error})") from None
        try:
            self._open(path)
        except sqlite3.Error as error:
            self._held.close()
            raise InputError(f"{path}: cannot be used as a gallery ({error})") from None
        except InputError:
            self.close()
            raise

    def _open(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute("PRAGMA secure_delete = ON")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._db.executescript(
                f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
        elif version != SCHEMA_VERSION:
            raise InputError(
                f"{path}: gallery of format {version}; this version reads format {SCHEMA_VERSION}"
            )
        verdict = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise InputError(f"{path}: the gallery is damaged ({verdict}); restore a backup")

    def close(self) -> None:
        with self._lock:
            self._db.close()
            self._held.close()

    def add_subject(self, subject: str) -> bool:
        """Makes a subject; False if it is there already."""
        with self._lock:
            cursor = self._db.execute(
                "INSERT OR IGNORE INTO subjects VALUES (?, ?)", (subject, time.time())
            )
            return cursor.rowcount > 0

    def add_entries(self, entries: Sequence[NewEntry]) -> list[Entry]:
        """Stores entries, and their subjects where new, in one transaction.

        Names have been checked with :func:`check_name`.
        """
        stored = []
        now = time.time()
        with self._lock, self._transaction():
            for entry in entries:
                self._db.execute(
                    "INSERT OR IGNORE INTO subjects VALUES (?, ?)", (entry.subject, now)
                )
                cursor = self._db.execute(
                    "INSERT INTO entries (subject, camera, space_id, feature, created_at) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (
                        entry.subject,
                        entry.camera,
                        entry.space_id,
                        entry.feature.astype("<f4").tobytes(),
                        now,
                    ),
                )
                stored.append(Entry(cursor.lastrowid or 0, entry.subject, entry.camera, now))
        return stored

    def delete_subject(self, subject: str) -> list[int] | None:
        """Deletes a subject; the numbers of its entries, or None if there was none."""
        with self._lock, self._transaction():
            ids = self._db.execute("SELECT id FROM entries WHERE subject = ?", (subject,))
            numbers = [row[0] for row in ids]
            gone = self._db.execute("DELETE FROM subjects WHERE id = ?", (subject,)).rowcount
        self._empty_log()
        return numbers if gone else None

    def delete_entry(self, entry_id: int) -> bool:
        with self._lock:
            gone = self._db.execute("DELETE FROM entries WHERE id = ?", (entry_id,)).rowcount
        self._empty_log()
        return gone > 0

    def _empty_log(self) -> None:
        """Moves the write-ahead log into the file: what was deleted is then nowhere."""
        with self._lock:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def counts(self) -> tuple[int, int]:
        """(subjects, entries)"""
        with self._lock:
            subjects = self._db.execute("SELECT count(*) FROM subjects").fetchone()[0]
            entries = self._db.execute("SELECT count(*) FROM entries").fetchone()[0]
        return subjects, entries

    def subjects(self, after: str, limit: int) -> list[tuple[str, int]]:
        """(id, number of entries) of up to ``limit`` subjects after ``after``, by id."""
        with self._lock:
            return self._db.execute(
                "SELECT s.id, (SELECT count(*) FROM entries e WHERE e.subject = s.id) "
                "FROM subjects s WHERE s.id > ? ORDER BY s.id LIMIT ?",
                (after, limit),
            ).fetchall()

    def subject(self, subject: str) -> tuple[str, int] | None:
        with self._lock:
            row: tuple[str, int] | None = self._db.execute(
                "SELECT s.id, (SELECT count(*) FROM entries e WHERE e.subject = s.id) "
                "FROM subjects s WHERE s.id = ?",
                (subject,),
            ).fetchone()
        return row

    def entries(self, after: int, limit: int, subject: str = "") -> list[Entry]:
        """Up to ``limit`` entries with numbers above ``after``, of one subject or of all."""
        with self._lock:
            rows = self._db.execute(
                "SELECT id, subject, camera, created_at FROM entries "
                "WHERE id > ? AND (? = '' OR subject = ?) ORDER BY id LIMIT ?",
                (after, subject, subject, limit),
            ).fetchall()
        return [Entry(*row) for row in rows]

    def features(
        self, space_id: str, chunk: int = 2048
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """All features of a space in chunks: entry numbers (n,), features (n, dim)."""
        after = 0
        while True:
            with self._lock:
                rows = self._db.execute(
                    "SELECT id, feature FROM entries WHERE id > ? AND space_id = ? "
                    "ORDER BY id LIMIT ?",
                    (after, space_id, chunk),
                ).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            ids = np.asarray([row[0] for row in rows], dtype=np.int64)
            features = np.stack([np.frombuffer(row[1], dtype="<f4") for row in rows])
            yield ids, features.astype(np.float32)

    def other_spaces(self, space_id: str) -> int:
        """Number of entries that belong to another feature space."""
        with self._lock:
            count: int = self._db.execute(
                "SELECT count(*) FROM entries WHERE space_id != ?", (space_id,)
            ).fetchone()[0]
        return count

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)


class _Transaction:
    """BEGIN IMMEDIATE, then COMMIT, or ROLLBACK when the block raises."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:  # the block failed, or the commit did: a full disk
                self._db.execute("ROLLBACK")
