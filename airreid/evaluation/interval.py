"""Means over noise seeds, rates over people, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit  # scipy.stats takes most of a second to load

from airreid.retrieval import people_half_width

CONFIDENCE = 0.95


class Mean(NamedTuple):
    """A mean and the half-width of its 95 % interval."""

    value: float
    half_width: float
    """Student's t over the seeds; NaN for a single one."""


def mean_of(values: Sequence[float]) -> Mean:
    """Mean of independent values with Student's interval, ``t * s / sqrt(n)``."""
    x = np.asarray(values, np.float64)
    if len(x) < 2:
        return Mean(float(x.mean()), float("nan"))
    quantile = float(stdtrit(len(x) - 1, 0.5 + CONFIDENCE / 2))
    return Mean(float(x.mean()), quantile * float(x.std(ddof=1)) / float(np.sqrt(len(x))))


def over_noise(interval: str, people: int) -> str:
    """Says what a ± is that stands for other noise; ``interval``: its level, kind and trials."""
    return (
        f"over noise: half of the interval ({interval}) for these {people} people; over people it "
        f"is up to {people_half_width(0.5, people):.3f}"
    )


def over_people(people: int) -> str:
    """Says what a ± is that stands for other people, as many as were tested."""
    return f"over people: half of the interval (95 %, each of {people} people one trial)"


def rate_interval(hits: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[float, float]:
    """Returns the 95 % interval of a rate of hits (n,) whose queries come in groups, the people.

    Wilson's (1927), for the number of independent queries that would scatter as much: queries of
    one person succeed and fail together, so that 300 of 100 people say less than 300 of as many.
    That number is between the people and the queries; where all or none are hits, the people.
    """
    rate, count = float(hits.mean()), len(hits)
    totals = np.bincount(np.unique(groups, return_inverse=True)[1], hits - rate)
    people = len(totals)
    trials = float(people)
    variance = people / max(1, people - 1) * float(np.square(totals).sum()) / count**2
    if variance > 0:
        trials = min(float(count), max(float(people), rate * (1 - rate) / variance))
    z = float(ndtri(0.5 + CONFIDENCE / 2))
    middle = (rate + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(rate * (1 - rate) / trials + (z / (2 * trials)) ** 2)
    return min(rate, max(0.0, float(middle - half))), max(rate, min(1.0, float(middle + half)))
