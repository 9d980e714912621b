"""Rates of rare events from few people: bounds, and the threshold that keeps a rate.

People, not queries, are the independent trials: a person who looks like somebody
enrolled is taken for them again and again. Each person thus counts once, with the
share of their queries that went wrong.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

STEPS = 1_000_000
"""Thresholds are rounded up to multiples of 1 / STEPS, so that they read well in JSON."""
Floats = NDArray[np.float64]


def upper_bound(wrong: ArrayLike, people: int, confidence: float) -> Floats:
    """Returns the one-sided upper confidence bound of a rate; ``wrong`` of ``people``, same shape.

    Clopper and Pearson 1934, ``B(confidence; wrong + 1, people - wrong)``. ``wrong`` may
    be a sum of shares: a mean of variables in [0, 1] spreads no more than a proportion
    of the same mean (Hoeffding 1963), so the bound stays a bound.
    """
    from scipy.special import betaincinv  # slow to load, and only calibration needs it

    k = np.asarray(wrong, dtype=np.float64)
    bound = betaincinv(k + 1.0, np.maximum(people - k, 1e-9), confidence)
    return np.asarray(np.where(k >= people, 1.0, bound), dtype=np.float64)


def lower_bound(wrong: ArrayLike, people: int, confidence: float) -> Floats:
    """Returns the one-sided lower confidence bound, the mirror image of :func:`upper_bound`."""
    return np.asarray(1.0 - upper_bound(people - np.asarray(wrong), people, confidence))


def smallest_rate(people: int, confidence: float) -> float:
    """Returns the smallest rate that ``people`` without a mistake prove: about 3/n at 95 %."""
    return float(upper_bound(0.0, people, confidence)) if people else 1.0


def people_needed(rate: float, confidence: float) -> int:
    """Returns how many people :func:`smallest_rate` needs to reach ``rate``."""
    return math.ceil(math.log1p(-confidence) / math.log1p(-rate))


def shares(people: NDArray[np.int64]) -> Floats:
    """Returns weights (n,) of values: those of one person weigh 1 together."""
    counts = np.bincount(people)
    return np.asarray(1.0 / counts[people], dtype=np.float64)


def threshold_for(
    scores: Floats, people: NDArray[np.int64], rate: float, confidence: float
) -> float | None:
    """Returns the lowest threshold that keeps a rate; None if there are too few people.

    scores: (n,) of impostors; people: (n,) their numbers, >= 0. At most ``rate`` of all
    impostors reach the threshold, with ``confidence``, judged by :func:`upper_bound`.
    """
    if not len(scores):
        return None
    total = len(np.unique(people))
    order = np.argsort(-scores, kind="stable")
    wrong = np.cumsum(shares(people)[order])
    if smallest_rate(total, confidence) > rate:
        return None
    allowed = int((upper_bound(wrong, total, confidence) <= rate).sum())
    if allowed == len(scores):
        return -1.0
    excluded = float(scores[order[allowed]])
    steps = math.floor(excluded * STEPS)
    while steps / STEPS <= excluded:
        steps += 1
    return steps / STEPS


def mean_share(hits: NDArray[np.bool_], people: NDArray[np.int64]) -> tuple[float, int]:
    """Returns (sum of each person's share of hits, number of people); hits, people: (n,)."""
    if not len(hits):
        return 0.0, 0
    return float(shares(people) @ hits), len(np.unique(people))
