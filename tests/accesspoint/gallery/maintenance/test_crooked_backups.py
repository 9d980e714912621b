"""Backups that somebody else made: only what AirReID writes gets in place of a gallery."""

from __future__ import annotations

import contextlib
import sqlite3
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from accesspoint.gallery.maintenance.backup import restore
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.store import schema
from accesspoint.gallery.store.store import Store
from airreid.errors import InputError

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"
CROOKED = {
    "a view that never ends": "PRAGMA foreign_keys = OFF; DROP TABLE features; DROP TABLE entries; "
    f"CREATE VIEW entries AS {ENDLESS} WHERE x < 0;",
    "a trigger that never ends": "CREATE TRIGGER other AFTER UPDATE ON settings BEGIN INSERT INTO "
    f"changes (kind, entry) SELECT 'add', x FROM ({ENDLESS}); END;",
    "a trigger that deletes": "CREATE TRIGGER other AFTER INSERT ON entries "
    "BEGIN DELETE FROM subjects; END;",
    "an index that fails": "CREATE INDEX other ON entries (subject || zeroblob(1));",
    "a table of its own": "CREATE TABLE other (x CHECK (length(hex(zeroblob(1))) > 0));",
    "no table of changes": "DROP TRIGGER entry_added; DROP TRIGGER entry_deleted; "
    "DROP TRIGGER entry_moved; DROP TABLE changes;",
    "no trigger": "DROP TRIGGER entry_added;",
    "no index": "DROP INDEX entries_by_key;",
    "a column more": "ALTER TABLE entries ADD COLUMN other TEXT;",
    "format 1 in name alone": "PRAGMA user_version = 1;",
    "a format to come": "PRAGMA user_version = 99;",
}


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A gallery of one entry."""
    path = tmp_path / "backup.sqlite"
    with contextlib.closing(Store(path)) as store:
        store.add_entries([NewEntry("alice", "c", "space", np.ones(8, np.float32))])
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    return path


@pytest.mark.parametrize("kind", CROOKED)
def test_what_no_backup_holds_is_refused_at_once(kind: str, backup: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(backup)) as db:
        db.executescript(CROOKED[kind])
    begun = time.monotonic()
    with pytest.raises(InputError, match=r"backup\.sqlite: (?:is no gallery|gallery of format)"):
        restore(backup, tmp_path / "data")
    assert time.monotonic() - begun < 5
    assert not (tmp_path / "data").exists()


def test_every_format_that_was_written_is_restored(backup: Path, tmp_path: Path) -> None:
    assert restore(backup, tmp_path / "data") == (1, 1)
    with contextlib.closing(sqlite3.connect(backup)) as db:
        db.execute("DROP TABLE quarantine")  # as before it was invented
    assert restore(backup, tmp_path / "before") == (1, 1)
    with contextlib.closing(Store(backup)) as store:
        store.prepare_import()
    assert restore(backup, tmp_path / "after an import") == (1, 1)
    first = tmp_path / "first.sqlite"
    with contextlib.closing(sqlite3.connect(first)) as db:
        db.executescript(schema._TABLES_1 + "INSERT INTO subjects VALUES ('a', 1);")
        db.execute("PRAGMA user_version = 1")
    assert restore(first, tmp_path / "old") == (1, 0)


def test_a_feature_too_long_to_be_one_goes_into_the_quarantine(
    backup: Path, tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(backup, isolation_level=None)) as db:
        db.execute("UPDATE features SET data = zeroblob(?)", (64 << 20,))
    tracemalloc.start()
    try:
        assert restore(backup, tmp_path / "data") == (1, 1)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20  # it was not read
    finally:
        tracemalloc.stop()
    with contextlib.closing(Store(tmp_path / "data" / "gallery.sqlite")) as store:
        assert list(store.quarantine.ids) == [1]
