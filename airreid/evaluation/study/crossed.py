"""Intervals over trainings and noise draws together, and paired bootstraps over queries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from airreid.evaluation.interval import CONFIDENCE, Mean, mean_of

Matrix = NDArray[np.float64]
_DRAWS = 10_000


def crossed_mean(values: Matrix) -> Mean:
    """Mean of values (T, S) of T trainings that met the same S noise draws, with its interval.

    Trainings and draws are crossed random effects: the variance of the mean is estimated from
    the mean squares of rows, columns and what is left, ``(A + B - E) / T S``, and the degrees of
    freedom by Satterthwaite's formula (Biometrics Bulletin 2, 1946). With one row or one column
    it is Student's interval of the others; NaN for a single value.
    """
    rows, columns = values.shape
    if rows == 1 or columns == 1:
        return mean_of(values.ravel().tolist())
    mean = float(values.mean())
    by_row, by_column = values.mean(axis=1), values.mean(axis=0)
    left = values - by_row[:, None] - by_column[None, :] + mean
    squares = np.asarray(
        [
            columns * by_row.var(ddof=1),
            rows * by_column.var(ddof=1),
            np.square(left).sum() / ((rows - 1) * (columns - 1)),
        ]
    )
    freedom = np.asarray([rows - 1, columns - 1, (rows - 1) * (columns - 1)])
    total = float(squares[0] + squares[1] - squares[2])
    if total <= 0 or total < squares[:2].max():  # an effect was estimated below zero: without it
        largest = int(squares[:2].argmax())
        total, degrees = float(squares[largest]), float(freedom[largest])
    else:
        degrees = total**2 / float((np.square(squares) / freedom).sum())
    quantile = float(t.ppf(0.5 + CONFIDENCE / 2, max(1.0, degrees)))
    return Mean(mean, quantile * float(np.sqrt(total / values.size)))


class Effect(NamedTuple):
    """A difference in top-1 between two schemes, with 95 % intervals."""

    value: float
    low: float
    high: float
    """Bounds over queries and trainings."""
    people_low: float
    people_high: float
    """Bounds over the people who are searched for, and trainings."""


def paired_bootstrap(
    first: Matrix, second: Matrix, people: NDArray[np.integer], seed: int = 0
) -> Effect:
    """Difference of two schemes' mean hits over the same queries, by the percentile bootstrap.

    first (T, Q), second (U, Q): share of the noise draws that found each query, for each
    training; people (Q,): whom each query shows. Queries are drawn anew for both schemes
    together, trainings for each by itself (Efron and Tibshirani, 1993).
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 0xB007])))
    queries = first.shape[1]
    _, group = np.unique(people, return_inverse=True)
    persons = int(group.max()) + 1
    sizes = np.bincount(group, minlength=persons)
    by_query, by_person = [], []
    for _ in range(_DRAWS // 500):
        weights = rng.multinomial(queries, np.full(queries, 1 / queries), size=500)
        person = rng.multinomial(persons, np.full(persons, 1 / persons), size=500)
        trained = [
            rng.multinomial(len(hits), np.full(len(hits), 1 / len(hits)), size=500) / len(hits)
            for hits in (first, second)
        ]
        difference = trained[0] @ first - trained[1] @ second  # (500, Q)
        by_query.append((difference * weights).sum(axis=1) / queries)
        spread = person[:, group]
        by_person.append((difference * spread).sum(axis=1) / (person @ sizes))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(np.concatenate(by_query), [tail, 100 - tail])
    people_low, people_high = np.percentile(np.concatenate(by_person), [tail, 100 - tail])
    value = float(first.mean() - second.mean())
    return Effect(value, float(low), float(high), float(people_low), float(people_high))
