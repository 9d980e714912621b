"""The spool's file: its tables, its checks, its lock."""

from __future__ import annotations

import fcntl
import sqlite3
from pathlib import Path
from typing import IO

from airreid.disk import make_private, open_private, private_folder
from airreid.errors import InputError
from edge.blocks import new_spool_id

FILE = "spool.sqlite"
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE spool (spool_id TEXT NOT NULL, edge_id TEXT NOT NULL) STRICT;
CREATE TABLE frames (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'answered', 'dropped')),
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    track_id TEXT NOT NULL,
    file_key TEXT,
    accepted_at REAL NOT NULL,
    boot_id TEXT NOT NULL,
    uptime REAL NOT NULL,
    scheme_id TEXT NOT NULL,
    link TEXT NOT NULL,
    uses INTEGER NOT NULL,
    payload_bits INTEGER NOT NULL,
    crc_bits INTEGER NOT NULL,
    side_bits INTEGER NOT NULL,
    air_ms REAL,
    energy_uj REAL,
    encode_ms REAL NOT NULL,
    block BLOB,
    digest INTEGER,
    settled_at REAL,
    total_ms REAL,
    link_ms REAL,
    sends INTEGER,
    code TEXT,
    message TEXT,
    outage INTEGER,
    snr_db REAL,
    identities TEXT,
    decision TEXT
) STRICT;
CREATE INDEX waiting ON frames (sequence) WHERE state = 'waiting';
CREATE UNIQUE INDEX handing_over ON frames (file_key) WHERE file_key IS NOT NULL;
"""

_NAME_MAX = 128
"""Characters of a spool's id, at most: an access point takes no more."""
_SEQUENCE_MAX = 2**62
_ADDED = {"digest": "INTEGER", "decision": "TEXT"}
"""Columns that came later within the format; earlier code leaves them empty."""


def open_database(folder: Path | None, edge_id: str) -> tuple[sqlite3.Connection, str]:
    """Opens the database, made if it is missing, and its spool id. ``folder`` None: in memory.

    Raises :class:`InputError` for a file that is damaged, of another format or another
    edge's.
    """
    path = ":memory:" if folder is None else str(folder / FILE)
    db = None
    try:
        if folder is not None:
            make_private(folder / FILE)  # the log beside it takes the same
        db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        db.text_factory = shown_text  # of a damaged row, too
        return db, _prepare(db, path, edge_id)
    except (sqlite3.Error, OSError) as error:
        if db is not None:
            db.close()
        raise InputError(
            f"{path}: cannot be used as a spool ({error}); make room or mend the disk, or "
            "move the file away: what waits in it will then not be sent"
        ) from None
    except InputError:
        if db is not None:
            db.close()
        raise


def _prepare(db: sqlite3.Connection, path: str, edge_id: str) -> str:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        db.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";\n"):
            db.execute(statement)
        db.execute("INSERT INTO spool VALUES (?, ?)", (new_spool_id(), edge_id))
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")
    elif version != SCHEMA_VERSION:
        raise InputError(
            f"{path}: spool of format {version}; this version reads format {SCHEMA_VERSION}"
        )
    else:
        columns = [row[1] for row in db.execute("PRAGMA table_info(frames)")]
        for name, kind in _ADDED.items():
            if name not in columns:
                db.execute(f"ALTER TABLE frames ADD COLUMN {name} {kind}")
    verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"damaged: {verdict}")
    spool_id, owner = _names(db)
    if owner != edge_id:
        raise InputError(
            f"{path}: the spool of edge {owner!r}, not {edge_id!r}; "
            "give each edge a --spool of its own"
        )
    return spool_id


def shown_text(data: bytes) -> str:
    """Reads a text of the file; bytes that are none become replacement characters."""
    return data.decode("utf-8", "replace")


def _names(db: sqlite3.Connection) -> tuple[str, str]:
    """Reads the spool's id and its edge's, and checks that numbers of frames can go on.

    Raises :class:`sqlite3.Error` for a damaged file.
    """
    rows = db.execute("SELECT spool_id, edge_id FROM spool LIMIT 2").fetchall()
    if len(rows) != 1 or not all(isinstance(name, str) for name in rows[0]):
        raise sqlite3.DatabaseError("damaged: it does not say whose it is")
    spool_id, edge_id = rows[0]
    if not 0 < len(spool_id) <= _NAME_MAX:
        raise sqlite3.DatabaseError("damaged: its id is none")
    counters = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'frames'").fetchall()
    [last] = db.execute("SELECT coalesce(max(sequence), 0) FROM frames").fetchone()
    for (counter,) in counters or [(0,)]:
        if not isinstance(counter, int) or not last <= counter < _SEQUENCE_MAX:
            raise sqlite3.DatabaseError("damaged: the number of its last frame is none")
    return spool_id, edge_id


def hold(folder: Path) -> IO[str]:
    """Takes the lock of the spool. Raises :class:`InputError` if another edge has it."""
    try:
        private_folder(folder)
        held = open_private((folder / FILE).with_suffix(".lock"), "w")
    except OSError as error:
        raise InputError(f"{folder}: cannot be used as a spool ({error})") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise InputError(
            f"{folder}: in use by another edge; stop it or use another --spool"
        ) from None
    return held
