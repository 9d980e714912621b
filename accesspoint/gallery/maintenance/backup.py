"""Backups: a checked copy of the gallery's file, and its return into place."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from accesspoint.gallery.store import schema
from accesspoint.gallery.store.store import Store
from accesspoint.gallery.store.stored_features import ALTERED, altered
from airreid.disk import make_private, open_private, private_folder, sync_folder
from airreid.errors import InputError

FILE_NAME = "gallery.sqlite"
"""The gallery's file in a data folder."""
_ROWS_AT_ONCE = 1024
_FEATURE_BYTES_MAX = 4 * 65536
"""Longest feature that is read: that of the longest in an archive."""


def backup(source: Path, path: Path) -> list[int]:
    """Copies a gallery, in use or not, as of one moment, into one file.

    It is whole and checked when it gets its name. Returns the entries in it that are damaged:
    they are in its quarantine, and a gallery that is restored from it does not serve them.
    Raises :class:`InputError` if there is such a file already, or it cannot be written.
    """
    if path.exists():
        raise InputError(f"{path}: exists already; give the backup another name")
    if not source.is_file():
        raise InputError(f"{source}: no gallery there")
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.unlink(missing_ok=True)
        make_private(temporary)
        with (
            contextlib.closing(sqlite3.connect(source)) as original,
            contextlib.closing(sqlite3.connect(temporary)) as copy,
        ):
            original.execute("PRAGMA query_only = ON")
            original.backup(copy)  # in one step: writers do not make it begin again
            copy.execute("PRAGMA journal_mode = DELETE")
        _check(temporary, schema.check_version)
        damaged = _quarantined(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
        return damaged
    except (OSError, sqlite3.Error) as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error})") from None


def restore(path: Path, data_dir: Path, replace: bool = False) -> tuple[int, int]:
    """Puts a backup in place of the gallery of a data folder whose access point is stopped.

    Returns (subjects, entries). The gallery counts as another one from then on, so that
    no snapshot or collection of the one before is believed. Who was deleted after the
    backup is in it again; entries that are damaged in the backup go into the quarantine.
    Raises :class:`InputError` for a file that is no whole gallery, or holds more, a folder in use,
    and a gallery that is there, unless ``replace``.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    target = data_dir / FILE_NAME
    if target.exists() and not replace:
        raise InputError(f"{target}: there is a gallery already; say so if it may be replaced")
    _check(path, schema.check_parts)
    if target.exists():
        with contextlib.suppress(sqlite3.Error):
            _settle(target)
    temporary = data_dir / (FILE_NAME + ".tmp")
    try:
        private_folder(data_dir)
        with path.open("rb") as file, open_private(temporary) as copy:
            shutil.copyfileobj(file, copy)
        with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION:
                db.execute(
                    "UPDATE settings SET value = lower(hex(randomblob(16))) WHERE key = 'store_id'"
                )
        _quarantined(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        for suffix in ("-wal", "-shm"):
            target.with_name(FILE_NAME + suffix).unlink(missing_ok=True)
        temporary.replace(target)
        sync_folder(data_dir)
        shutil.rmtree(data_dir / "index", ignore_errors=True)
    except (OSError, sqlite3.Error) as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{data_dir}: cannot be restored to ({error})") from None
    with contextlib.closing(Store(target)) as store:
        return store.counts()


def _quarantined(path: Path) -> list[int]:
    """Puts damaged entries of a copy into its quarantine; returns all that are in it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        if db.execute("PRAGMA user_version").fetchone()[0] != schema.VERSION:
            return []  # of a time before digests
        schema.prepare(db, path)
        rows = db.execute(
            "SELECT e.id, e.digest, CASE WHEN length(f.data) <= ? THEN f.data END "
            "FROM entries e LEFT JOIN features f ON f.entry = e.id",
            (_FEATURE_BYTES_MAX,),
        )
        damaged: list[int] = []
        while chunk := rows.fetchmany(_ROWS_AT_ONCE):
            damaged += altered(chunk)
        now = time.time()
        db.executemany(
            "INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?)",
            [(number, ALTERED, now) for number in damaged],
        )
        return [row[0] for row in db.execute("SELECT entry FROM quarantine ORDER BY entry")]


def _settle(target: Path) -> None:
    """Empties the log of the gallery that is replaced. Raises :class:`InputError` if it is in
    use."""
    try:
        Store(target).close()
    except InputError as error:
        if "in use" in str(error):
            raise
        # damaged: that is why it is being replaced


def _check(path: Path, check: Callable[[sqlite3.Connection, Path], object]) -> None:
    """Raises :class:`InputError` for a file that is no whole gallery, by ``check`` first."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as db:
            check(db, path)
            verdict = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            broken = db.execute("PRAGMA foreign_key_check").fetchone()
            db.execute("SELECT 1 FROM subjects, entries LIMIT 1").fetchone()  # both are there
    except sqlite3.Error as error:
        raise InputError(f"{path}: is no gallery ({error})") from None
    if verdict != "ok" or broken:
        raise InputError(f"{path}: the backup is damaged ({verdict})")
