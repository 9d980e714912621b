"""Impairments of single channel uses: impulses of noise, and erasures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airreid.noise import NoiseStream, Purpose


def _happens(
    stream: NoiseStream,
    purpose: Purpose,
    first: int,
    count: int,
    uses: int,
    bandwidth: int,
    probability: float,
) -> NDArray[np.bool_]:
    """Draws bool (count, uses), each True with ``probability``, to the nearest 2^-32."""
    words = stream.words(purpose, first, count, -(-uses // 2), bandwidth)
    halves = np.ascontiguousarray(words).astype("<u8", copy=False).view("<u4")
    return np.asarray(halves[:, :uses] < round(probability * 2.0**32))


def impulses(
    stream: NoiseStream, first: int, count: int, bandwidth: int, probability: float
) -> NDArray[np.bool_]:
    """Draws where impulses hit blocks ``first .. first + count - 1``: bool (count, bandwidth).

    An impulse hits a complex use: I and Q (real uses 2i and 2i + 1) together.
    """
    pairs = -(-bandwidth // 2)
    hit = _happens(stream, Purpose.IMPULSE, first, count, pairs, bandwidth, probability)
    return np.repeat(hit, 2, axis=1)[:, :bandwidth]


def impulsive_scale(
    hit: NDArray[np.bool_], probability: float, ratio_db: float
) -> NDArray[np.float32]:
    """Returns the factors of unit noise where ``hit``, and where not: Bernoulli-Gaussian noise.

    The variances stand in the ratio R (``ratio_db`` in dB) and their mean over all uses,
    ``(1 - p) s + p R s``, is 1: an impulsive link of some SNR has as much noise as an
    AWGN link of that SNR. float32, in the shape of ``hit``.
    """
    ratio = 10.0 ** (ratio_db / 10.0)
    background = 1.0 / (1.0 - probability + probability * ratio)
    scales = np.sqrt(np.array([background, background * ratio])).astype(np.float32)
    return np.asarray(scales[hit.astype(np.intp)])


def erasures(
    stream: NoiseStream, first: int, count: int, bandwidth: int, probability: float, unit: str
) -> NDArray[np.bool_]:
    """Draws erased uses of blocks ``first .. first + count - 1``: bool (count, bandwidth).

    ``unit``: "real", each real use for itself, or "complex", I and Q together.
    """
    if unit == "real":
        return _happens(stream, Purpose.ERASURE, first, count, bandwidth, bandwidth, probability)
    pairs = -(-bandwidth // 2)
    # The bandwidth's upper half names another sequence: its width differs from that above.
    erased = _happens(
        stream, Purpose.ERASURE, first, count, pairs, bandwidth | 1 << 32, probability
    )
    return np.repeat(erased, 2, axis=1)[:, :bandwidth]
