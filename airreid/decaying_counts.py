"""Counts by name that time takes off again: what a caller did of late."""

from __future__ import annotations

import math


class DecayingCounts:
    """Counts of the names that were counted last, less so much for every second since."""

    def __init__(self, per_second: float, most: float = math.inf, names: int = 1024) -> None:
        """``per_second``: what time takes off; ``most``: highest count; ``names``: as many are
        remembered."""
        self._per_second, self._most, self._names = per_second, most, names
        self._counts: dict[str, tuple[float, float]] = {}
        """Count of each name, and as of when; the name that was counted last stands last."""

    def of(self, name: str, now: float) -> float:
        """Returns the count of a name now."""
        count, counted_at = self._counts.get(name, (0.0, now))
        return max(0.0, count - self._per_second * (now - counted_at))

    def add(self, name: str, amount: float, now: float) -> float:
        """Adds to a name's count; returns it, before what is above the highest is taken off."""
        count = self.of(name, now) + amount
        self._counts.pop(name, None)
        self._counts[name] = min(count, self._most), now
        if len(self._counts) > self._names:
            del self._counts[next(iter(self._counts))]
        return count
