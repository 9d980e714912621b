"""Gaussian noise that depends only on (seed, link, block number), never on timing.

Philox 4x64 is a counter-based generator: output number n is a function of the key and
n alone (Salmon et al., *Parallel Random Numbers: As Easy as 1, 2, 3*, SC 2011). A
block of B real symbols takes ceil(B/2) words of 64 bits and a Box-Muller transform,
which consumes a fixed amount, so that block k starts at a known counter and a run of
consecutive blocks is drawn at once.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_WORDS_PER_COUNTER = 4
_MASK = (1 << 64) - 1


def _key(seed: int, link: str) -> NDArray[np.uint64]:
    digest = hashlib.sha256(f"airreid noise 1\0{seed}\0{link}".encode()).digest()
    return np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)


class NoiseStream:
    """Unit-variance noise of one link.

    ``seed`` and ``link`` name the link's noise; blocks of different bandwidths take
    theirs from separate sequences.
    """

    def __init__(self, seed: int, link: str) -> None:
        self._stream_key = _key(seed, link)

    def blocks(self, first: int, count: int, bandwidth: int) -> NDArray[np.float32]:
        """Noise of blocks ``first .. first + count - 1``: float32 (count, bandwidth).

        Each value is N(0, 1), independent of all others. Raises ``ValueError`` for
        negative numbers and for a bandwidth of 0.
        """
        if first < 0 or count < 0 or bandwidth < 1:
            raise ValueError(f"no noise for blocks {first}+{count} of bandwidth {bandwidth}")
        pairs = -(-bandwidth // 2)
        counters = -(-pairs // _WORDS_PER_COUNTER)
        start = first * counters
        counter = np.array([start & _MASK, start >> 64, 0, bandwidth], dtype=np.uint64)
        philox = np.random.Philox(counter=counter, key=self._stream_key)
        words = philox.random_raw(count * counters * _WORDS_PER_COUNTER)
        words = words.reshape(count, counters * _WORDS_PER_COUNTER)[:, :pairs]
        return _box_muller(words)[:, :bandwidth]


def _box_muller(words: NDArray[np.uint64]) -> NDArray[np.float32]:
    """uint64 (n, p) -> float32 (n, 2p), N(0, 1): upper halves give radii, lower angles."""
    halves = words.astype("<u8", copy=False).view("<u4").reshape(*words.shape, 2)
    uniform = (halves[..., 1].astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-32)
    radius = np.sqrt(np.float32(-2.0) * np.log(np.minimum(uniform, np.float32(1.0))))
    angle = halves[..., 0].astype(np.float32) * np.float32(2.0 * np.pi * 2.0**-32)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
