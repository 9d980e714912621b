"""Complex gains of blocks: Rayleigh and Rician, independent or slowly changing.

A block has one gain h, of mean power 1 (E|h|^2 = 1), for all of its complex uses. It is
a function of (seed, link, block number) alone, and the same at every bandwidth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airreid.noise import NoiseStream, Purpose

Gains = NDArray[np.complex128]
PATHS = 64
"""Scattered paths of slow fading. The fourth moment of |h| is 2 - 1/PATHS for 2."""
_PATHS_BLOCK = (1 << 64) - 1
"""Paths are drawn as the gain of this block, with a width of their own."""
_AT_ONCE = 1024


def _turns(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Returns words as angles: the whole range is one turn, in radians."""
    return words.astype(np.float64) * (2.0 * np.pi * 2.0**-64)


def independent(stream: NoiseStream, first: int, count: int) -> Gains:
    """Draws Rayleigh gains of blocks ``first .. first + count - 1``, each for itself: (count,).

    ``h = sqrt(-ln u) exp(j phi)``, u and phi uniform: |h|^2 is exponential of mean 1.
    """
    words = stream.words(Purpose.GAIN, first, count, 2)
    uniform = ((words[:, 0] >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    angle = _turns(words[:, 1])
    gains = np.empty(count, np.complex128)
    radius = np.sqrt(-np.log(uniform))
    gains.real, gains.imag = radius * np.cos(angle), radius * np.sin(angle)
    return gains


class SlowFading:
    """Clarke's model of a receiver that moves: ``E[h(n + d) h(n)*] = J0(2 pi f d)``.

    f is ``doppler``, the Doppler frequency times the time from block to block. A sum of
    ``PATHS`` sinusoids from directions all around, each with a seeded angle and phase:
    Zheng and Xiao, *Simulation Models With Correct Statistical Properties for Rayleigh
    Fading Channels*, IEEE Trans. Commun. 51 (2003); here with the whole circle of
    directions, one in each equal sector. Phases are counted in 2^-64 of a turn with
    whole numbers, so that block 2^63 has as exact a gain as block 0, in any order.
    """

    def __init__(self, stream: NoiseStream, doppler: float) -> None:
        words = stream.words(Purpose.GAIN, _PATHS_BLOCK, 1, 2 * PATHS, bandwidth=1)[0]
        jitter = (words[:PATHS] >> np.uint64(11)).astype(np.float64) * 2.0**-53
        directions = 2.0 * np.pi * (np.arange(PATHS) + jitter) / PATHS
        steps = [int(f * 2.0**64) % 2**64 for f in (doppler * np.cos(directions)).tolist()]
        self._step = np.array(steps, np.uint64)
        self._phase = words[PATHS:]

    def gains(self, first: int, count: int) -> Gains:
        """Returns the gains of blocks ``first .. first + count - 1``: complex (count,)."""
        gains = np.empty(count, np.complex128)
        for start in range(0, count, _AT_ONCE):
            size = min(_AT_ONCE, count - start)
            blocks = np.arange(size, dtype=np.uint64) + np.uint64((first + start) % 2**64)
            angle = _turns(blocks[:, None] * self._step + self._phase)
            gains.real[start : start + size] = np.cos(angle).sum(axis=1)
            gains.imag[start : start + size] = np.sin(angle).sum(axis=1)
        return np.asarray(gains / np.sqrt(PATHS))


def rician(scattered: Gains, k_factor_db: float) -> Gains:
    """Returns ``sqrt(K/(K+1)) + sqrt(1/(K+1)) h``: a line of sight of steady phase 0, to which
    the receiver is locked, and scattered paths h of mean power 1."""
    k = 10.0 ** (k_factor_db / 10.0)
    return np.asarray(np.sqrt(k / (k + 1.0)) + np.sqrt(1.0 / (k + 1.0)) * scattered)
