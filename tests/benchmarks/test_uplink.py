"""Many cameras at one access point, in processes of their own: nothing lost, fair shares."""

from __future__ import annotations

import pytest

from benchmarks.uplink import Counted, Load, as_dict, measure, report


def check(load: Load) -> None:
    ticks: list[int] = []
    [found] = measure(load, False, lambda: ticks.append(1))
    assert found.wrong == found.lost == found.broken == 0
    assert found.fewest > 0
    assert found.slowest_over_median >= 0.5, found
    assert found.items >= load.streams * found.fewest
    assert len(found.rss_mib) == len(ticks) == int(load.seconds)
    assert as_dict(load, [found])["settings"]["streams"] == load.streams
    if load.seconds >= 30:
        assert found.rss_growth < 0.05, found.rss_mib


def test_twenty_streams_for_a_few_seconds() -> None:
    check(Load(streams=20, seconds=3, entries=256, window=8))


@pytest.mark.slow
def test_two_hundred_streams_for_a_minute() -> None:
    check(Load(streams=200, seconds=60, entries=10_000))


def test_the_report_says_what_was_counted() -> None:
    counted = Counted([10, 30, 20], [1.0, 2.0, 3.0, 100.0], wrong=1, smallest_window=2)
    rss = [50.0, 100.0, 100.0, 100.0, 100.0, 100.0, 110.0, 110.0]
    found = report("x", counted, rss, 1.5, Load(streams=3, seconds=10))
    assert found.items_per_second == 6.0
    assert (found.fewest, found.median, found.most) == (10, 20.0, 30)
    assert found.slowest_over_median == 0.5
    assert found.rss_growth == pytest.approx(0.1)
    assert found.p50_ms == 2.5
