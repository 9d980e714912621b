"""Backups: a checked copy of the gallery's file, and its return into place."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

from accesspoint.gallery.store import schema
from accesspoint.gallery.store.store import Store
from airreid.disk import sync_folder
from airreid.errors import InputError

FILE_NAME = "gallery.sqlite"
"""The gallery's file in a data folder."""


def backup(source: Path, path: Path) -> None:
    """Copies a gallery, in use or not, as of one moment, into one file.

    It is whole and checked when it gets its name. Raises :class:`InputError` if there is
    such a file already, or it cannot be written.
    """
    if path.exists():
        raise InputError(f"{path}: exists already; give the backup another name")
    if not source.is_file():
        raise InputError(f"{source}: no gallery there")
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with (
            contextlib.closing(sqlite3.connect(source)) as original,
            contextlib.closing(sqlite3.connect(temporary)) as copy,
        ):
            original.execute("PRAGMA query_only = ON")
            original.backup(copy)  # in one step: writers do not make it begin again
            copy.execute("PRAGMA journal_mode = DELETE")
        _check(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except (OSError, sqlite3.Error) as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error})") from None


def restore(path: Path, data_dir: Path, replace: bool = False) -> tuple[int, int]:
    """Puts a backup in place of the gallery of a data folder whose access point is stopped.

    Returns (subjects, entries). The gallery counts as another one from then on, so that
    no snapshot or collection of the one before is believed. Who was deleted after the
    backup is in it again. Raises :class:`InputError` for a file that is no whole gallery,
    a folder in use, and a gallery that is there, unless ``replace``.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    target = data_dir / FILE_NAME
    if target.exists() and not replace:
        raise InputError(f"{target}: there is a gallery already; say so if it may be replaced")
    _check(path)
    if target.exists():
        with contextlib.suppress(sqlite3.Error):
            _settle(target)
    temporary = data_dir / (FILE_NAME + ".tmp")
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, temporary)
        with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION:
                db.execute(
                    "UPDATE settings SET value = lower(hex(randomblob(16))) WHERE key = 'store_id'"
                )
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


def _settle(target: Path) -> None:
    """Empties the log of the gallery that is replaced. Raises :class:`InputError` if it is in
    use."""
    try:
        Store(target).close()
    except InputError as error:
        if "in use" in str(error):
            raise
        # damaged: that is why it is being replaced


def _check(path: Path) -> None:
    """Raises :class:`InputError` for a file that is no whole gallery."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            verdict = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            broken = db.execute("PRAGMA foreign_key_check").fetchone()
            db.execute("SELECT 1 FROM subjects, entries LIMIT 1").fetchone()  # both are there
    except sqlite3.Error as error:
        raise InputError(f"{path}: is no gallery ({error})") from None
    if not 1 <= version <= schema.VERSION:
        raise InputError(f"{path}: gallery of format {version}; this version reads formats 1 to 2")
    if verdict != "ok" or broken:
        raise InputError(f"{path}: the backup is damaged ({verdict})")
