"""Tables of a gallery file, and the change of a file of an older format to this one."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from accesspoint.gallery.records import digest
from airreid.errors import InputError

VERSION = 2
_TABLES = """
CREATE TABLE subjects (
    id TEXT PRIMARY KEY,
    display_name TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    expires_at REAL
) STRICT, WITHOUT ROWID;
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    camera TEXT NOT NULL,
    space_id TEXT NOT NULL,
    model_digest TEXT NOT NULL DEFAULT '',
    key TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL,
    captured_at REAL,
    quality REAL,
    expires_at REAL,
    digest INTEGER NOT NULL,
    origin INTEGER
) STRICT;
CREATE TABLE features (
    entry INTEGER PRIMARY KEY REFERENCES entries (id) ON DELETE CASCADE,
    data BLOB NOT NULL
) STRICT;
CREATE TABLE thumbnails (
    entry INTEGER PRIMARY KEY REFERENCES entries (id) ON DELETE CASCADE,
    data BLOB NOT NULL
) STRICT;
CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    entry INTEGER NOT NULL
) STRICT;
CREATE TABLE consumers (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO settings VALUES ('store_id', lower(hex(randomblob(16))));
"""
_REST = """
CREATE INDEX entries_by_subject ON entries (subject, id);
CREATE INDEX entries_by_space ON entries (space_id, id);
CREATE INDEX entries_by_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX subjects_by_expiry ON subjects (expires_at) WHERE expires_at IS NOT NULL;
CREATE UNIQUE INDEX entries_by_key ON entries (subject, key, space_id) WHERE key != '';
CREATE UNIQUE INDEX entries_by_origin ON entries (origin, space_id) WHERE origin IS NOT NULL;
CREATE TRIGGER entry_added AFTER INSERT ON entries
    BEGIN INSERT INTO changes (kind, entry) VALUES ('add', new.id); END;
CREATE TRIGGER entry_deleted AFTER DELETE ON entries
    BEGIN INSERT INTO changes (kind, entry) VALUES ('delete', old.id); END;
CREATE TRIGGER entry_moved AFTER UPDATE OF subject ON entries
    BEGIN INSERT INTO changes (kind, entry) VALUES ('move', new.id); END;
"""
_ADDED = """
CREATE TABLE IF NOT EXISTS quarantine (
    entry INTEGER PRIMARY KEY REFERENCES entries (id) ON DELETE CASCADE,
    reason TEXT NOT NULL,
    found_at REAL NOT NULL
) STRICT;
"""
"""Made in any file of this format; earlier code does not look at it."""
BY_DIGEST = "CREATE INDEX IF NOT EXISTS entries_by_digest ON entries (subject, digest)"
"""Index that an import makes; it stays."""
_BY_CAMERA = "CREATE INDEX IF NOT EXISTS entries_by_camera ON entries (camera, id);"
"""Index by which a camera's entries are listed, whoever else's there are."""
_REST += _BY_CAMERA
_TABLES_1 = """
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
_NOT_ALWAYS = {"quarantine", "entries_by_digest", "entries_by_camera"}
_FROM_1 = """
ALTER TABLE subjects RENAME TO subjects_1;
ALTER TABLE entries RENAME TO entries_1;
DROP INDEX entries_by_subject;
{tables}
INSERT INTO subjects (id, created_at, updated_at)
    SELECT id, created_at, created_at FROM subjects_1;
INSERT INTO entries (id, subject, camera, space_id, created_at, digest)
    SELECT id, subject, camera, space_id, created_at, digest(feature) FROM entries_1 ORDER BY id;
INSERT INTO features SELECT id, feature FROM entries_1 ORDER BY id;
INSERT OR IGNORE INTO settings
    SELECT 'active_space', space_id FROM entries_1 ORDER BY id DESC LIMIT 1;
DELETE FROM sqlite_sequence WHERE name = 'entries';
INSERT INTO sqlite_sequence SELECT 'entries', seq FROM sqlite_sequence WHERE name = 'entries_1';
DROP TABLE entries_1;
DROP TABLE subjects_1;
{rest}
INSERT INTO changes (kind, entry) SELECT 'add', id FROM entries ORDER BY id;
"""


def check(db: sqlite3.Connection, path: Path) -> None:
    """Raises :class:`InputError` for a file of another format than this one."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise InputError(
            f"{path}: gallery of format {version}, which can be read once it was opened for "
            f"writing; reading alone takes format {VERSION}"
        )


def check_parts(db: sqlite3.Connection, path: Path) -> None:
    """Compares a file's tables, indexes and triggers with those that are made here.

    A file of somebody else may hold a view that never ends, or a trigger that deletes what is
    enrolled: this reads none of its rows. Raises :class:`InputError`.
    """
    version = check_version(db, path)
    with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(
            _TABLES_1 if version == 1 else f"{_TABLES} {_ADDED} {_REST} {BY_DIGEST}"
        )
        expected = _parts(fresh)
    parts = _parts(db)
    odd = {name for name in expected.keys() | parts if parts.get(name) != expected.get(name)}
    odd -= _NOT_ALWAYS - parts.keys()
    if odd:
        named = ", ".join(f"{name!r:.80}" for name in sorted(odd)[:3])
        raise InputError(
            f"{path}: is no gallery as AirReID makes it (missing, added or of another form: "
            f"{named}); give a file that a backup of AirReID wrote"
        )


def _parts(db: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """Returns tables, indexes and triggers: name to type, table and definition."""
    rows = db.execute("SELECT name, type, tbl_name, coalesce(sql, '') FROM sqlite_master")
    return {name: (kind, table, " ".join(sql.split())) for name, kind, table, sql in rows}


def check_version(db: sqlite3.Connection, path: Path) -> int:
    """Returns a file's format. Raises :class:`InputError` for one that this version cannot read."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if not 1 <= version <= VERSION:
        raise InputError(
            f"{path}: gallery of format {version}; this version reads formats 1 to {VERSION}"
        )
    return version


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Makes the tables in a new file, or brings an older file to this format.

    Each in one transaction, so that a kill leaves the file as it was. Raises
    :class:`InputError` for a format that this version does not know.
    """
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == VERSION:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'quarantine'").fetchone():
            db.executescript(_ADDED)
        with contextlib.suppress(sqlite3.DatabaseError):  # a full disk, say: lists take longer
            db.execute(_BY_CAMERA)
        return
    stamp = f"PRAGMA user_version = {VERSION};"
    if version == 0:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _all_or_nothing(db, f"{_TABLES} {_ADDED} {_REST} {stamp}")
    elif version == 1:
        db.create_function("digest", 1, digest, deterministic=True)
        db.execute("PRAGMA foreign_keys = OFF")
        _all_or_nothing(db, _FROM_1.format(tables=_TABLES + _ADDED, rest=_REST) + stamp)
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("VACUUM")  # makes the line above count; the old tables' pages go
        db.execute("PRAGMA foreign_keys = ON")
    else:
        raise InputError(
            f"{path}: gallery of format {version}; this version reads formats 1 to {VERSION}"
        )


def _all_or_nothing(db: sqlite3.Connection, script: str) -> None:
    try:
        db.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
