"""Times from which on entries are in no answer, whether they are deleted yet or not."""

from __future__ import annotations

import heapq
import threading
import time


class Expiries:
    """Expiries of entries and of their subjects, in memory; safe in any thread.

    Nothing is asked of it where nothing expires.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[int, float] = {}
        self._subjects: dict[str, float] = {}
        self._due: list[float] = []
        self._passed = 0

    def __bool__(self) -> bool:
        return bool(self._entries or self._subjects)

    def set_entry(self, entry_id: int, expires_at: float | None) -> None:
        """Sets when an entry expires; None: never."""
        with self._lock:
            if expires_at is None:
                self._entries.pop(entry_id, None)
            else:
                self._entries[entry_id] = expires_at
                heapq.heappush(self._due, expires_at)

    def set_subject(self, subject: str, expires_at: float | None) -> None:
        """Sets when all entries of a subject expire; None: never."""
        with self._lock:
            if expires_at is None:
                self._subjects.pop(subject, None)
            else:
                self._subjects[subject] = expires_at
                heapq.heappush(self._due, expires_at)

    def over(self, entry_id: int, subject: str, now: float) -> bool:
        """Tells whether an entry has expired, or its subject has."""
        return self._entries.get(entry_id, now + 1) <= now or self.subject_over(subject, now)

    def subject_over(self, subject: str, now: float) -> bool:
        """Tells whether a subject has expired."""
        return self._subjects.get(subject, now + 1) <= now

    @property
    def passed(self) -> int:
        """Number of times that have come; when it grows, answers of before may name somebody
        who has expired."""
        if self._due and self._due[0] <= (now := time.time()):
            with self._lock:
                while self._due and self._due[0] <= now:
                    heapq.heappop(self._due)
                    self._passed += 1
        return self._passed
