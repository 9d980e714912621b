"""Counts that time takes off, and the names that are remembered."""

from __future__ import annotations

from airreid.decaying_counts import DecayingCounts


def test_time_takes_a_count_off() -> None:
    counts = DecayingCounts(per_second=2.0)
    assert counts.of("a", 0.0) == 0.0
    assert counts.add("a", 5.0, 10.0) == 5.0
    assert counts.add("a", 1.0, 11.0) == 4.0
    assert (counts.of("a", 12.5), counts.of("a", 100.0), counts.of("b", 12.5)) == (1.0, 0.0, 0.0)


def test_a_count_stays_below_the_highest() -> None:
    counts = DecayingCounts(per_second=1.0, most=3.0)
    assert counts.add("a", 10.0, 0.0) == 10.0
    assert counts.of("a", 1.0) == 2.0


def test_the_names_counted_last_are_remembered() -> None:
    counts = DecayingCounts(per_second=0.0, names=2)
    for name in ("a", "b", "a", "c"):
        counts.add(name, 1.0, 0.0)
    assert [counts.of(name, 0.0) for name in "abc"] == [2.0, 0.0, 1.0]
