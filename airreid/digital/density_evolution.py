"""Gaussian approximation of density evolution: how reliable each input of a polar code is.

LLRs are taken as Gaussian with mean mu and variance 2 mu (Chung, Richardson, Urbanke,
IEEE Trans. Inf. Theory 47, 2001; for polar codes Trifonov, IEEE Trans. Commun. 60, 2012).
The transfer function is integrated numerically and not fitted, so that it also holds at
the low SNRs at which fits are poor.
"""

from __future__ import annotations

from functools import lru_cache
from math import erfc

import numpy as np
from numpy.typing import NDArray

from airreid.digital.modem import constellation, interleaver, llrs
from airreid.signal import noise_variance

Floats = NDArray[np.float64]
MEAN_MIN, MEAN_MAX = 1e-6, 2e3
_POINTS = 1200


@lru_cache(maxsize=1)
def _tables() -> tuple[Floats, Floats, Floats]:
    """Tabulates ln mu, ln T(mu) and ln(1 - T(mu)) with T = E[tanh(L / 2)], ascending in mu.

    ``1 - T = exp(-mu / 4) / sqrt(4 pi mu) * integral exp(-u^2 / 4 mu) / cosh(u / 2) du``.
    """
    means = np.geomspace(MEAN_MIN, MEAN_MAX, _POINTS)
    nodes, weights = np.polynomial.hermite_e.hermegauss(96)
    below = means < 1.0
    small = means[below, None]
    t = (np.tanh((small + np.sqrt(2 * small) * nodes) / 2) @ weights) / np.sqrt(2 * np.pi)
    u = np.linspace(0.0, 120.0, 4801)
    large = means[~below, None]
    inside = np.exp(-np.square(u) / (4 * large)) / np.cosh(u / 2)
    ln_rest = -means[~below] / 4 - 0.5 * np.log(4 * np.pi * means[~below])
    ln_rest += np.log(2 * np.trapezoid(inside, u, axis=1))
    ln_t = np.concatenate([np.log(t), np.log1p(-np.exp(ln_rest))])
    return np.log(means), ln_t, np.concatenate([np.log1p(-t), ln_rest])


def check_node(a: Floats, b: Floats) -> Floats:
    """Returns the mean of an LLR that needs both of two; 0 where one of them is 0."""
    ln_mu, ln_t, ln_rest = _tables()
    ln_a, ln_b = (np.log(np.clip(x, MEAN_MIN, MEAN_MAX)) for x in (a, b))
    ln_t_out = np.interp(ln_a, ln_mu, ln_t) + np.interp(ln_b, ln_mu, ln_t)
    rest_a, rest_b = (np.exp(np.interp(x, ln_mu, ln_rest)) for x in (ln_a, ln_b))
    ln_rest_out = np.log(np.maximum(rest_a + rest_b - rest_a * rest_b, 1e-300))
    weak = np.interp(ln_t_out, ln_t, ln_mu)
    strong = -np.interp(-ln_rest_out, -ln_rest, -ln_mu)
    mean = np.exp(np.where(ln_t_out < np.log(0.5), weak, strong))
    return np.where((a < MEAN_MIN) | (b < MEAN_MIN), 0.0, mean)


def input_means(codeword_means: Floats) -> Floats:
    """Returns LLR means of the N inputs from those of the N codeword bits, natural order."""
    level = codeword_means[None, :]
    while level.shape[1] > 1:
        half = level.shape[1] // 2
        a, b = level[:, :half], level[:, half:]
        level = np.stack([check_node(a, b), a + b], axis=1).reshape(-1, half)
    return level[:, 0]


def error_probability(means: Floats) -> Floats:
    """Returns Q(sqrt(mu / 2)) of each mean: how often a decision on it is wrong."""
    return np.asarray([0.5 * erfc(np.sqrt(mean) / 2) for mean in means.tolist()])


def bit_plane_means(snr_db: float, bits_per_symbol: int) -> Floats:
    """Returns (m,): for each label bit of a PAM symbol, the mean of the Gaussian LLR that carries
    as much information as the bit's exact LLR does at this SNR."""
    variance = float(noise_variance(snr_db))
    if bits_per_symbol == 1:
        return np.asarray([2.0 / variance])
    nodes, weights = np.polynomial.hermite_e.hermegauss(96)
    levels = constellation(bits_per_symbol)
    y = levels[:, None] + np.sqrt(variance) * nodes
    llr = llrs(y.reshape(-1, 1), variance, bits_per_symbol)
    in_order = llr[:, interleaver(bits_per_symbol, bits_per_symbol)]
    exact = in_order.reshape(*y.shape, bits_per_symbol)
    sign = 1.0 - 2.0 * (
        np.arange(len(levels))[:, None] >> np.arange(bits_per_symbol - 1, -1, -1) & 1
    )
    loss = np.logaddexp(0.0, -sign[:, None, :] * exact) / np.log(2.0)
    information = 1.0 - np.einsum("syp,y->p", loss, weights) / np.sqrt(2 * np.pi) / len(levels)
    ln_mu, _, _ = _tables()
    return np.asarray(np.exp(np.interp(np.clip(information, 0.0, 1.0), _information(), ln_mu)))


@lru_cache(maxsize=1)
def _information() -> Floats:
    """Tabulates the bits that a Gaussian LLR of each tabulated mean carries, ascending."""
    means = np.exp(_tables()[0])
    nodes, weights = np.polynomial.hermite_e.hermegauss(96)
    samples = means[:, None] + np.sqrt(2 * means[:, None]) * nodes
    loss = np.logaddexp(0.0, -samples) @ weights / np.sqrt(2 * np.pi) / np.log(2.0)
    return np.maximum.accumulate(1.0 - loss)
