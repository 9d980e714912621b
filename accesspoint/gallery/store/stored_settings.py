"""Small documents kept with a gallery, by key: the match policy, the page key, the served space."""

from __future__ import annotations

import threading

from accesspoint.gallery.store.database import Database


class StoredSettings:
    """The table of settings; safe in any thread.

    A document is read from the file once. Every search asks for the policy, and the file is
    busy for seconds while the pages of many deleted entries are given back.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._cached: dict[str, str | None] = {}

    def get(self, key: str) -> str | None:
        """Returns a document, or None."""
        if key not in self._cached:
            with self._lock:
                row = self._database.row("SELECT value FROM settings WHERE key = ?", (key,))
                self._cached[key] = row[0] if row else None
        return self._cached[key]

    def set(self, key: str, text: str) -> None:
        """Stores a document in place of the one before."""
        with self._lock:
            with self._database.writing() as db:
                db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, text))
            self._cached[key] = text

    def read_again(self, key: str) -> None:
        """Drops what was cached of a key that a transaction of somebody else has written."""
        with self._lock:
            self._cached.pop(key, None)
