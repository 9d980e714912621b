"""Connections to the gallery's SQLite file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

_PRAGMAS = (
    "auto_vacuum = INCREMENTAL",  # counts in a new file only, before its first table
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "secure_delete = ON",
    "trusted_schema = OFF",
    "temp_store = MEMORY",  # deleted content goes to no other file, and needs no room there
)
_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
_NOT_OPENED = (sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_IOERR_NOMEM, sqlite3.SQLITE_IOERR_LOCK)


def open_writable(path: Path) -> sqlite3.Connection:
    """Opens the file; what is committed survives a power cut. Raises :class:`sqlite3.Error`."""
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        db.close()
        raise
    return db


def open_read_only(path: Path) -> sqlite3.Connection:
    """Opens the file with its log, changes neither, and makes no file beside them.

    The caller must hold the file: the connection takes no locks (``unix-none``), since the
    exclusive mode, in which SQLite keeps the index of the log in memory, would need one that
    cannot be had on a descriptor that only reads. Raises :class:`sqlite3.Error`.
    """
    wal = path.with_name(path.name + "-wal")
    logged = wal.exists() and wal.stat().st_size > 0
    how = "vfs=unix-none" if logged else "immutable=1"
    uri = f"{path.absolute().as_uri()}?mode=ro&{how}"
    db = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
    try:
        for pragma in ("locking_mode = EXCLUSIVE", "trusted_schema = OFF", "query_only = ON"):
            db.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        db.close()
        raise
    return db


def disk_failed(error: sqlite3.OperationalError) -> bool:
    """Tells whether it was the disk that did not take, or give, what it should."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _DISK


def cannot_open(error: sqlite3.DatabaseError) -> bool:
    """Tells whether a file could not be opened, which says nothing of what is in it."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_CANTOPEN or code in _NOT_OPENED


def text_damaged(error: sqlite3.OperationalError) -> bool:
    """Tells whether a stored text is no UTF-8; the module of Python has no code for that."""
    return "Could not decode to UTF-8" in str(error)


def read_damaged_text(db: sqlite3.Connection) -> None:
    """Reads what is no UTF-8 as U+FFFD from now on."""
    db.text_factory = lambda data: data.decode(errors="replace")
