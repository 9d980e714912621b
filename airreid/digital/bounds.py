"""Bounds of the real AWGN channel: capacity, and what good codes of a length reach."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from airreid.signal import capacity


def shannon_snr_db(bits: float, uses: int) -> float:
    """Returns the SNR in dB at which B uses carry k bits: k = B C. Minus infinity for no bits."""
    ratio = 2.0 ** (2.0 * bits / uses) - 1.0
    return float(10.0 * np.log10(ratio)) if ratio > 0 else float("-inf")


def ideal_arrives(bits: int, uses: int, snr_db: float) -> bool:
    """Says whether the ideal link carries k bits: if and only if ``k <= B C(SNR)``."""
    return bits <= uses * float(capacity(snr_db))


def normal_approximation(bits: int, uses: int, snr_db: ArrayLike) -> NDArray[np.float64]:
    """Returns the block error rate of the best code of k bits in B uses, approximately.

    ``Q((B C - k + log2(B) / 2) / sqrt(B V))`` with the dispersion ``V = (log2 e)^2 / 2 *
    P (P + 2) / (P + 1)^2``, P the SNR: Polyanskiy, Poor and Verdú, *Channel coding rate
    in the finite blocklength regime*, IEEE Trans. Inf. Theory 56 (2010), theorem 54; the
    logarithmic term: Tan and Tomamichel, IEEE Trans. Inf. Theory 61 (2015).
    """
    from statistics import NormalDist  # slow to load, and only figures need it

    snr = 10.0 ** (np.asarray(snr_db, np.float64) / 10.0)
    dispersion = np.log2(np.e) ** 2 / 2.0 * snr * (snr + 2.0) / np.square(snr + 1.0)
    excess = uses * capacity(snr_db) - bits + 0.5 * np.log2(uses)
    margin = excess / np.sqrt(uses * dispersion)
    tail = np.vectorize(lambda x: NormalDist().cdf(-x), otypes=[np.float64])
    return np.asarray(tail(margin))


def normal_approximation_snr_db(bits: int, uses: int, bler: float) -> float:
    """Returns the SNR in dB at which :func:`normal_approximation` gives a block error rate.

    Raises :class:`ValueError` unless 0 < bler < 1.
    """
    if not 0 < bler < 1:
        raise ValueError(f"block error rate {bler}: give one between 0 and 1")
    low, high = -60.0, 120.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        if float(normal_approximation(bits, uses, middle)) > bler:
            low = middle
        else:
            high = middle
    return high
