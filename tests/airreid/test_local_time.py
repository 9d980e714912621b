"""Times of day with their zone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from airreid.local_time import local_time


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the zone of this process; the one before is back afterwards."""
    with monkeypatch.context() as patched:

        def set_zone(name: str) -> None:
            patched.setenv("TZ", name)
            time.tzset()

        yield set_zone
    time.tzset()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("UTC", "2026-01-02 03:04:05+00:00"),
        ("JST-9", "2026-01-02 12:04:05+09:00"),
        ("NST3:30", "2026-01-01 23:34:05-03:30"),
    ],
)
def test_a_time_is_of_the_zone_and_says_its_offset(
    zone: Callable[[str], None], name: str, shown: str
) -> None:
    zone(name)
    assert local_time(1767323045.6784) == shown
    assert local_time(1767323045.6784, "T", "milliseconds")[19:23] == ".678"
