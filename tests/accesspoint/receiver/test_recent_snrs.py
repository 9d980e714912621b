"""SNRs of late: outliers, age, and how many cameras are remembered."""

from __future__ import annotations

import math

import numpy as np
import pytest

from accesspoint.receiver import recent_snrs
from accesspoint.receiver.recent_snrs import RecentSnr, RecentSnrs


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_steady_link_is_what_every_block_says() -> None:
    recent = RecentSnrs(Clock())
    assert recent.of("cam") is None
    recent.heard("cam", 3.24)
    assert recent.of("cam") == RecentSnr(3.0, 0.0)
    recent.heard("cam", 3.26)
    for _ in range(20):
        recent.heard("cam", 3.3)
    assert recent.of("cam") == RecentSnr(3.5, 0.0)
    assert recent.of("other") is None


def test_odd_blocks_move_it_little() -> None:
    recent = RecentSnrs(Clock())
    for snr_db in (5.0, 5.0, 5.0, -60.0, 5.0, 5.0, 100.0, 5.0):
        recent.heard("cam", snr_db)
    assert recent.of("cam") == RecentSnr(5.0, 0.0)


def test_mean_and_spread_are_those_of_the_link() -> None:
    draws, means, spreads = np.random.default_rng(0), [], []
    for number in range(300):
        recent = RecentSnrs(Clock())
        for snr_db in draws.normal(2.0, 4.0, 16):
            recent.heard(str(number), snr_db)
        row = recent.of(str(number))
        assert row is not None
        means.append(row.snr_db)
        spreads.append(row.spread_db)
    assert np.mean(means) == pytest.approx(2.0, abs=0.3)
    assert np.mean(spreads) == pytest.approx(4.0, abs=0.6)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_mean_between_the_quartiles(seed: int) -> None:
    """As arrays say it: of blocks of any age and SNR, some of them equal."""
    draws, clock = np.random.default_rng(seed), Clock()
    recent, blocks = RecentSnrs(clock), list[tuple[float, float]]()
    for _ in range(int(draws.integers(1, 17))):
        clock.now += float(draws.exponential(4.0))
        blocks.append((clock.now, round(float(draws.normal(2.0, 4.0)))))
        recent.heard("cam", blocks[-1][1])
    fresh = sorted((snr_db, moment) for moment, snr_db in blocks if clock.now - moment <= 60.0)
    snrs_db = np.array([snr_db for snr_db, _ in fresh])
    weight = 0.5 ** ((clock.now - np.array([moment for _, moment in fresh])) / 10.0)
    ends = np.cumsum(weight) / weight.sum()
    share = np.diff(np.clip(ends, 0.25, 0.75), prepend=0.25)
    row = recent.of("cam")
    assert row is not None
    assert row.snr_db == pytest.approx(snrs_db @ share / 0.5, abs=0.2501)
    low, high = (snrs_db[np.searchsorted(ends, part)] for part in (0.25, 0.75))
    assert row.spread_db == pytest.approx((high - low) / 1.349, abs=0.2501)


def test_old_blocks_count_less_and_then_not_at_all() -> None:
    clock = Clock()
    recent = RecentSnrs(clock)
    for _ in range(8):
        recent.heard("cam", -10.0)
    clock.now += 30.0  # an eighth of the weight
    for _ in range(4):
        recent.heard("cam", 10.0)
    assert recent.of("cam") == RecentSnr(10.0, 0.0)
    recent.heard("far", -3.0)
    clock.now += 3600.0
    assert recent.of("far") == RecentSnr(-3.0, 0.0)  # the latest is all that is known
    recent.heard("far", 8.0)
    assert recent.of("far") == RecentSnr(8.0, 0.0)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_snrs, "_CAMERAS", 3)
    recent = RecentSnrs(Clock())
    for name in ("a", "b", "c", "a", "d"):
        recent.heard(name, 1.0)
    assert len(recent) == 3
    assert recent.of("b") is None
    for snr_db in [*[0.0] * 50, *[1e9] * 16]:
        recent.heard("a", snr_db)
    row = recent.of("a")
    assert row is not None
    assert math.isfinite(row.snr_db)
    assert row.spread_db == 0.0
