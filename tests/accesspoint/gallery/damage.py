"""Damage to a gallery's file, done behind the back of whoever has it open."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import numpy as np

from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.store.store import Store


def damaged_file(folder: Path) -> Path:
    """Makes a gallery of fifty entries, the end of its file blanked behind SQLite's back."""
    path = folder / "gallery.sqlite"
    store = Store(path)
    store.add_entries([NewEntry("a", "c", "s", np.ones(2048, np.float32))] * 50)
    store.close()
    data = bytearray(path.read_bytes())
    data[-65536:-8192] = bytes(65536 - 8192)
    path.write_bytes(data)
    return path


def flip(path: Path, entry_id: int, byte: int, mask: int = 0x40) -> None:
    """Alters one byte of a stored feature, as a disk or a person might."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        [(data,)] = db.execute("SELECT data FROM features WHERE entry = ?", (entry_id,)).fetchall()
        altered = bytearray(data)
        altered[byte] ^= mask
        db.execute("UPDATE features SET data = ? WHERE entry = ?", (bytes(altered), entry_id))


def cut(path: Path, entry_id: int) -> None:
    """Leaves half of a stored feature."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "UPDATE features SET data = substr(data, 1, length(data) / 2) WHERE entry = ?",
            (entry_id,),
        )


def lose(path: Path, entry_id: int) -> None:
    """Takes a stored feature away and leaves its entry."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM features WHERE entry = ?", (entry_id,))
