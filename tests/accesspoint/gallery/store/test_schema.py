"""A file of format 1 becomes one of format 2 with nothing lost, or stays as it was."""

import hashlib
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.store.store import Store
from airreid.errors import InputError

FORMAT_1 = """
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
PRAGMA user_version = 1;
"""


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4, 2048)).astype(np.float32)


@pytest.fixture
def old(tmp_path: Path, vectors: np.ndarray) -> Path:
    """alice with entries 2 and 4, bob with 3, carol with none; 1, 5 were deleted."""
    path = tmp_path / "gallery.sqlite"
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(FORMAT_1)
    db.executemany("INSERT INTO subjects VALUES (?, ?)", [("alice", 10), ("bob", 20), ("carol", 3)])
    for number, subject in ((1, "bob"), (2, "alice"), (3, "bob"), (4, "alice"), (5, "bob")):
        data = vectors[number % 4].tobytes()
        db.execute(
            "INSERT INTO entries VALUES (?, ?, 'c1', 'space', ?, ?)",
            (number, subject, data, 100.0 + number),
        )
    db.execute("DELETE FROM entries WHERE id IN (1, 5)")
    db.commit()
    db.close()
    return path


def test_format_1_is_brought_to_this_format(old: Path, vectors: np.ndarray) -> None:
    store = Store(old)
    assert [(s.id, s.created_at, s.entries) for s in store.subjects.page("", 9)] == [
        ("alice", 10.0, 2),
        ("bob", 20.0, 1),
        ("carol", 3.0, 0),
    ]
    entries = store.entries(0, 9)
    assert [(e.id, e.subject, e.camera, e.created_at) for e in entries] == [
        (2, "alice", "c1", 102.0),
        (3, "bob", "c1", 103.0),
        (4, "alice", "c1", 104.0),
    ]
    assert store.settings.get("active_space") == "space"
    [page] = store.all_features("space")
    np.testing.assert_array_equal(page.features, vectors[[2, 3, 0]])
    expected = [hashlib.blake2b(vectors[i].tobytes(), digest_size=8).digest() for i in (2, 3, 0)]
    assert page.digests.astype("<i8").tobytes() == b"".join(expected)
    assert [(c.kind, c.entry) for c in store.log.changes(0, 9)] == [("add", n) for n in (2, 3, 4)]
    [added], *_ = store.add_entries([NewEntry("dora", "c", "space", vectors[0])])
    assert added.id == 6  # 5 was given once already
    assert store.delete_subject("alice") == [2, 4]
    store.close()
    again = Store(old)
    assert again.counts() == (3, 2)
    again.close()
    names = sqlite3.connect(old).execute("SELECT name FROM sqlite_schema").fetchall()
    assert not [name for (name,) in names if name.endswith("_1") and "autoindex" not in name]


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: bytes) -> int:
        raise ValueError("no")

    before = sqlite3.connect(old).execute("SELECT * FROM entries").fetchall()
    with monkeypatch.context() as patch:
        patch.setattr("accesspoint.gallery.store.schema.digest", broken)
        with pytest.raises(InputError, match="cannot be used as a gallery"):
            Store(old)
    db = sqlite3.connect(old)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert db.execute("SELECT * FROM entries").fetchall() == before
    db.close()
    store = Store(old)
    assert store.counts() == (3, 3)
    store.close()


def test_a_newer_format_is_refused(old: Path) -> None:
    db = sqlite3.connect(old)
    db.execute("PRAGMA user_version = 3")
    db.close()
    with pytest.raises(InputError, match="format 3; this version reads formats 1 to 2"):
        Store(old)
