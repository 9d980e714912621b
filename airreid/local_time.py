"""Times of day as people read them: of the zone that ``TZ`` names, with its offset."""

from __future__ import annotations

from datetime import datetime


def local_time(seconds: float, separator: str = " ", timespec: str = "seconds") -> str:
    """Returns a time in s since 1970 in ISO 8601: ``2026-01-02 03:04:05+09:00``; one that no
    calendar has, as its seconds."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(separator, timespec)
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g} s"
