"""Waits between attempts."""

from __future__ import annotations

import random

import pytest

from edge.backoff import delay


class Highest(random.Random):
    """Draws the end of every range."""

    def uniform(self, a: float, b: float) -> float:
        assert a == 0.0
        return b


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(0, 0.2), (1, 0.4), (2, 0.8), (5, 6.4), (8, 30.0), (10_000, 30.0)]
)
def test_the_longest_wait_doubles_up_to_its_limit(attempt: int, seconds: float) -> None:
    assert delay(attempt, 30.0, Highest()) == pytest.approx(seconds)


def test_the_first_wait_can_be_chosen_and_no_number_of_attempts_is_too_large() -> None:
    assert delay(1, 30.0, Highest(), first=1.5) == 3.0
    assert delay(60, 1e30, Highest()) == delay(61, 1e30, Highest()) == pytest.approx(0.2 * 2**60)
