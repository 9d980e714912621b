"""Means over noise seeds and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t

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
    quantile = float(t.ppf(0.5 + CONFIDENCE / 2, len(x) - 1))
    return Mean(float(x.mean()), quantile * float(x.std(ddof=1)) / float(np.sqrt(len(x))))
