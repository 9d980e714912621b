"""Entries whose stored feature is not the one that was enrolled: named, kept and never served."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from accesspoint.gallery.store.database import Database
from airreid import log
from airreid.errors import AirReidError

_LOGGED = 20
"""Damaged entries of one find that are named in the log by themselves."""
Listener = Callable[[list[int]], None]


class Quarantine:
    """Numbers of damaged entries, in memory and in the gallery's file; safe in any thread.

    Whoever reads features puts the damaged ones in. They stay in the store, where an operator
    can look at them, until they are deleted, enrolled anew or found whole by a scrub.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self.ids: frozenset[int] = frozenset()
        """Numbers of damaged entries; some may have been deleted since."""
        if database.row("SELECT 1 FROM sqlite_master WHERE name = 'quarantine'"):
            self.ids = frozenset(row[0] for row in database.rows("SELECT entry FROM quarantine"))

    def __contains__(self, entry_id: int) -> bool:
        return entry_id in self.ids

    def on_new(self, listener: Listener) -> None:
        """Calls ``listener`` with entries that are found damaged, in the thread that found them."""
        self._listeners.append(listener)

    def put(self, damaged: Mapping[int, str]) -> None:
        """Takes entries in, each with what is wrong; those that are in already are no news."""
        with self._lock:
            new = {number: damaged[number] for number in damaged if number not in self.ids}
            self.ids |= new.keys()
        if not new:
            return
        for number, reason in list(new.items())[:_LOGGED]:
            log.warning("entry_damaged", entry=number, reason=reason)
        if len(new) > _LOGGED:
            log.warning("entries_damaged", count=len(new))
        now = time.time()
        try:
            with self._database.writing() as db:
                db.executemany(
                    "INSERT OR REPLACE INTO quarantine SELECT ?, ?, ? "
                    "WHERE EXISTS (SELECT 1 FROM entries WHERE id = ?1)",
                    [(number, reason, now) for number, reason in new.items()],
                )
        except (sqlite3.Error, AirReidError) as error:  # known in this process all the same
            log.warning("quarantine_not_written", error=str(error))
        for listener in self._listeners:
            listener(sorted(new))

    def release(self, ids: Iterable[int]) -> None:
        """Lets entries go that are whole after all: the disk or the memory erred for once."""
        numbers = [(number,) for number in ids]
        with self._lock:
            with self._database.writing() as db:
                db.executemany("DELETE FROM quarantine WHERE entry = ?", numbers)
            self.ids -= {number for (number,) in numbers}
