"""Upkeep in the background: merges of segments, snapshots, free pages."""

from __future__ import annotations

import sqlite3
import threading

from accesspoint.gallery.search.scheme_indexes import SchemeIndexes
from accesspoint.gallery.store.store import Store
from airreid import log

_IDLE_S, _PAUSE_S = 30.0, 0.5
_LOG_ROWS = 1_000_000


class BackgroundMaintenance:
    """A thread that works after changes, and every half a minute on what has come of age."""

    def __init__(self, store: Store, indexes: SchemeIndexes, lock: threading.RLock) -> None:
        self._store, self._indexes, self._lock = store, indexes, lock
        self._wake, self._stop, self._deleted = threading.Event(), threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="gallery-maintenance", daemon=True)
        if not store.database.read_only:
            self._thread.start()

    def notify(self, deleted: bool = False) -> None:
        """Wakes the thread: something was added, or ``deleted``."""
        self._deleted |= deleted
        self._wake.set()

    def close(self) -> None:
        """Ends the thread after the round it is in."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.wait(_IDLE_S)
            if self._stop.wait(_PAUSE_S):
                return
            self._wake.clear()
            try:
                self.run_now()
            except sqlite3.ProgrammingError:  # the store was closed
                return
            except Exception as error:
                log.warning("gallery_not_tidied", error=f"{type(error).__name__}: {error}")

    def run_now(self) -> None:
        """Does one round. An index that fails keeps nothing else from being done."""
        if self._store.database.read_only:
            return
        for name, index in self._indexes.live.items():
            with self._lock:
                position = self._store.log.position
            try:
                if index.maintain(position):
                    self._store.log.set_consumed(f"snapshot:{name}", position)
            except sqlite3.ProgrammingError:
                raise
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                log.warning("index_not_tidied", index=name, error=reason)
        self._store.log.shorten(_LOG_ROWS)
        if self._deleted:
            self._deleted = False
            try:
                self._store.database.give_back_free_pages()
            except sqlite3.OperationalError:  # a full disk: again in the next round
                self._deleted = True
                raise
