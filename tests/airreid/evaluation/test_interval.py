"""Intervals of rates: Wilson's where queries are independent, wider where people decide."""

from __future__ import annotations

import numpy as np
import pytest

from airreid.evaluation.interval import over_noise, over_people, rate_interval


def test_independent_queries_have_wilsons_interval() -> None:
    hits = np.arange(100) < 90
    low, high = rate_interval(hits, np.arange(100))
    assert (low, high) == (pytest.approx(0.8256, abs=2e-3), pytest.approx(0.9448, abs=2e-3))


def test_queries_that_fail_together_count_once() -> None:
    hits = np.repeat(np.arange(100) < 90, 3)
    together = rate_interval(hits, np.repeat(np.arange(100), 3))
    alone = rate_interval(hits, np.arange(300))
    assert together[1] - together[0] > 1.5 * (alone[1] - alone[0])
    assert together == pytest.approx(rate_interval(hits[::3], np.arange(100)), abs=2e-3)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_all_or_none_leave_room_by_the_people(rate: float) -> None:
    hits = np.full(300, bool(rate))
    low, high = rate_interval(hits, np.repeat(np.arange(100), 3))
    assert high - low == pytest.approx(0.037, abs=1e-3)
    assert low <= rate <= high


def test_intervals_hold_what_they_promise() -> None:
    """The true rate is inside 95 % of 400 draws with people of very different luck."""
    rng, holds = np.random.default_rng(5), 0
    for _ in range(400):
        luck = rng.beta(4.0, 1.0, 100)
        hits = rng.random((100, 3)) < luck[:, None]
        low, high = rate_interval(hits.ravel(), np.repeat(np.arange(100), 3))
        holds += low <= 0.8 <= high
    assert 370 <= holds <= 392


def test_a_half_width_says_what_it_is_over() -> None:
    noise = over_noise("95 %, Student's t over the noise seeds", 100)
    assert noise.startswith("over noise: half of the interval (95 %, ")
    assert noise.endswith("over people it is up to 0.098")
    assert over_people(100).startswith("over people: half of the interval (95 %, ")
