"""Many cameras at one access point, in processes of their own: nothing lost, fair shares."""

from __future__ import annotations

import pytest

from benchmarks.uplink import Load, StreamCounts, as_dict, measure, report


def check(load: Load) -> None:
    ticks: list[int] = []
    [figures] = measure(load, False, lambda: ticks.append(1))
    assert figures.wrong == figures.lost == figures.broken == 0
    assert figures.fewest > 0
    assert figures.slowest_over_median >= 0.5, figures
    assert figures.items >= load.streams * figures.fewest
    assert len(figures.rss_mib) == len(ticks) == int(load.seconds)
    assert as_dict(load, [figures])["settings"]["streams"] == load.streams
    if load.seconds >= 30:
        assert figures.rss_growth < 0.05, figures.rss_mib


def test_twenty_streams_for_a_few_seconds() -> None:
    check(Load(streams=20, seconds=3, entries=256, window=8))


def test_ten_streams_beside_thirty_that_are_idle() -> None:
    check(Load(streams=10, idle=30, seconds=2, entries=256))


@pytest.mark.slow
def test_two_hundred_streams_for_a_minute() -> None:
    check(Load(streams=200, seconds=60, entries=10_000))


def test_the_report_says_what_was_counted() -> None:
    counted = StreamCounts([10, 30, 20], [1.0, 2.0, 3.0, 100.0], wrong=1, smallest_window=2)
    rss = [50.0, 100.0, 100.0, 100.0, 100.0, 100.0, 110.0, 110.0]
    figures = report("x", counted, rss, 1.5, Load(streams=3, seconds=10))
    assert figures.items_per_second == 6.0
    assert (figures.fewest, figures.median, figures.most) == (10, 20.0, 30)
    assert figures.slowest_over_median == 0.5
    assert figures.rss_growth == pytest.approx(0.1)
    assert figures.p50_ms == 2.5
