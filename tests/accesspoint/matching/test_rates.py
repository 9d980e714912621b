from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from accesspoint.matching.rates import (
    lower_bound,
    mean_share,
    people_needed,
    smallest_rate,
    threshold_for,
    upper_bound,
)


@pytest.mark.parametrize("people", [10, 137])
@pytest.mark.parametrize("wrong", [0, 1, 9])
@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_bounds_are_those_of_the_binomial(people: int, wrong: int, confidence: float) -> None:
    # By definition: at the bound, so few (or so many) are just this unlikely.
    high = float(upper_bound(wrong, people, confidence))
    assert binom.cdf(wrong, people, high) == pytest.approx(1 - confidence)
    low = float(lower_bound(wrong, people, confidence))
    if wrong:
        assert binom.sf(wrong - 1, people, low) == pytest.approx(1 - confidence)
    else:
        assert low == 0.0
    assert low <= wrong / people <= high


def test_everybody_wrong() -> None:
    assert float(upper_bound(7, 7, 0.95)) == 1.0
    assert float(lower_bound(7, 7, 0.95)) == pytest.approx(0.05 ** (1 / 7))


def test_rule_of_three() -> None:
    assert smallest_rate(300, 0.95) == pytest.approx(3 / 300, rel=0.01)
    assert smallest_rate(0, 0.95) == 1.0
    assert people_needed(0.01, 0.95) == 299
    for rate in (0.3, 0.02, 0.005):
        needed = people_needed(rate, 0.95)
        assert smallest_rate(needed, 0.95) <= rate < smallest_rate(needed - 1, 0.95)


def test_threshold_against_brute_force() -> None:
    rng = np.random.default_rng(1)
    for people_count in (40, 90):
        people = rng.integers(0, people_count, 200)
        scores = np.round(rng.uniform(-1, 1, 200), 2)  # with ties
        for rate in (0.08, 0.2, 0.7):
            threshold = threshold_for(scores, people, rate, 0.9)
            assert threshold is not None
            for candidate, keeps in ((threshold, True), (threshold - 0.0101, False)):
                shares = [
                    float(np.mean(scores[people == person] >= candidate))
                    for person in np.unique(people)
                ]
                bound = float(upper_bound(sum(shares), len(shares), 0.9))
                assert (bound <= rate) is keeps


def test_too_few_people_have_no_threshold() -> None:
    scores, people = np.linspace(0, 1, 50), np.arange(50)
    assert threshold_for(scores, people, 0.05, 0.95) is None
    assert threshold_for(scores, people, 0.06, 0.95) is not None
    # More queries of the same people prove nothing more.
    assert threshold_for(np.tile(scores, 40), np.tile(people, 40), 0.05, 0.95) is None
    assert threshold_for(np.empty(0), np.empty(0, np.int64), 0.5, 0.5) is None


def test_a_threshold_is_above_the_scores_it_excludes_even_at_1() -> None:
    threshold = threshold_for(np.ones(100), np.arange(100), 0.05, 0.95)
    assert threshold is not None
    assert 1.0 < threshold <= 1.00001


def test_each_person_counts_once() -> None:
    hits = np.array([True, True, True, False, False])
    assert mean_share(hits, np.array([0, 0, 0, 1, 2])) == (1.0, 3)
    assert mean_share(hits, np.array([4, 4, 4, 4, 9])) == (0.75, 2)
    assert mean_share(np.empty(0, bool), np.empty(0, np.int64)) == (0.0, 0)


def test_the_stated_rate_holds_for_fresh_strangers_as_often_as_stated() -> None:
    """Galleries of Gaussian people, each calibrated on itself, then met by new people."""
    rng = np.random.default_rng(2)
    rate, confidence, galleries, within = 0.05, 0.9, 80, 0
    rates = []
    for _ in range(galleries):
        people = rng.standard_normal((120, 1, 16))
        entries = _unit(people + 0.5 * rng.standard_normal((120, 2, 16))).reshape(-1, 16)
        owner = np.repeat(np.arange(120), 2)
        scores = entries @ entries.T
        scores[owner[:, None] == owner[None]] = -1
        threshold = threshold_for(scores.max(1), owner, rate, confidence)
        assert threshold is not None
        fresh = _unit(rng.standard_normal((2000, 16)) * np.sqrt(1.25))
        true_rate = float(((fresh @ entries.T).max(1) >= threshold).mean())
        rates.append(true_rate)
        within += true_rate <= rate
    # 90 % of 80 is 72, standard deviation 2.7; look-alikes come in pairs, which costs a little.
    assert within >= 63
    # and it is not kept by refusing everybody
    assert np.mean(rates) > rate / 4


def _unit(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True))
