"""Closed forms and small statistics that the tests hold the models against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def ks_distance(draws: np.ndarray, cdf: Callable[[np.ndarray], np.ndarray]) -> float:
    """Kolmogorov-Smirnov: the largest distance of the empirical CDF from ``cdf``."""
    x = np.sort(draws)
    exact = cdf(x)
    n = len(x)
    return float(max((np.arange(1, n + 1) / n - exact).max(), (exact - np.arange(n) / n).max()))


def j0(x: np.ndarray) -> np.ndarray:
    """Bessel's J0 by its integral: the mean of cos(x sin t) over half a turn."""
    t = (np.arange(2000) + 0.5) * np.pi / 2000
    return np.cos(np.multiply.outer(x, np.sin(t))).mean(axis=-1)


def rician_power_cdf(k: float) -> Callable[[np.ndarray], np.ndarray]:
    """CDF of |h|^2, E|h|^2 = 1: its density ``(1+K) exp(-K - (1+K) p) I0(2 sqrt(K(1+K)p))``
    summed by the trapezoidal rule; I0 by its integral."""
    p = np.linspace(0, 12, 12_001)
    t = (np.arange(400) + 0.5) * np.pi / 400
    # The exponentials together, so that none overflows.
    root = 2 * np.sqrt(k * (1 + k) * p)
    bessel = np.exp(np.multiply.outer(root, np.cos(t)) - (k + (1 + k) * p)[:, None]).mean(axis=-1)
    density = (1 + k) * bessel
    cdf = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2) * (p[1] - p[0])])
    return lambda x: np.interp(x, p, cdf)
