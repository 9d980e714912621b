"""Convention for power, SNR and capacity; everything else uses these functions.

Real channel ``y = x + z`` with ``x, y`` in R^B and ``z ~ N(0, sigma^2 I)``. B, the
*bandwidth*, counts real channel uses; two of them make one complex (I/Q) use. Each
block has mean power P = 1 exactly: ``(1/B) sum x_i^2 = P``. ``SNR = P / sigma^2`` per
real use, in dB ``10 log10(P / sigma^2)`` and named ``snr_db``. Against texts that put
N0/2 per dimension, ``SNR = Es/N0 + 3.01 dB`` for real symbols.

Source: Jankowski, Gündüz, Mikolajczyk, *Deep Joint Source-Channel Coding for
Wireless Image Retrieval*, ICASSP 2020, section 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

POWER = 1.0
"""Mean power of a block per real channel use."""
SNR_DB_MIN, SNR_DB_MAX = -60.0, 100.0
"""Bounds of what a link may be set to and a report may say."""
EPSILON = 1e-12
"""Smallest norm that is divided by; a block of zeros stays zeros."""


def noise_variance(snr_db: ArrayLike) -> NDArray[np.float64]:
    """Returns sigma^2 per real use, for P = 1, of each SNR in dB; same shape as ``snr_db``."""
    return np.asarray(POWER * 10.0 ** (-np.asarray(snr_db, dtype=np.float64) / 10.0))


def capacity(snr_db: ArrayLike) -> NDArray[np.float64]:
    """Returns the Shannon capacity ``0.5 log2(1 + P/sigma^2)`` in bits per real channel use.

    Same shape as ``snr_db``, in dB per real use.

    Example:
        >>> import airreid
        >>> (256 * airreid.capacity([0.0, 20.0])).round(1)
        array([128. , 852.3])
    """
    return np.asarray(0.5 * np.log2(1.0 + POWER / noise_variance(snr_db)))


def normalise_power(u: NDArray[np.floating]) -> NDArray[np.floating]:
    """Scales to ``sqrt(B P) u / max(|u|, eps)`` for each block: last axis B; dtype kept.

    Every block gets mean power exactly P, never the average over a batch. A block of
    zeros has no direction and stays zeros.
    """
    norm = np.linalg.norm(u, axis=-1, keepdims=True)
    scale = np.sqrt(u.shape[-1] * POWER) / np.maximum(norm, EPSILON)
    return np.asarray(u * scale, dtype=u.dtype)


def awgn(
    symbols: NDArray[np.float32], noise: NDArray[np.float32], snr_db: ArrayLike
) -> NDArray[np.float32]:
    """Adds noise, ``y = x + sigma z``, for blocks of mean power 1.

    symbols, noise: float32 (..., B); noise of unit variance; snr_db: scalar or one
    value per block, (...). Returns float32 (..., B).
    """
    sigma = np.sqrt(noise_variance(snr_db)).astype(np.float32)
    return np.asarray(symbols + sigma[..., None] * noise, dtype=np.float32)


def measured_snr_db(
    sent: NDArray[np.floating], received: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Measures the SNR in dB of each block: sent and received (..., B) -> (...)."""
    x = np.asarray(sent, dtype=np.float64)
    noise = np.asarray(received, dtype=np.float64) - x
    power = np.square(x).mean(axis=-1)
    return np.asarray(10.0 * np.log10(power / np.square(noise).mean(axis=-1)))


def unit_rows(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Returns float32 rows of length 1, for cosine similarity; rows of zeros stay zeros."""
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norm, EPSILON), dtype=np.float32)
