"""Randomness that depends only on (seed, link, block number), never on timing.

Philox 4x64 is a counter-based generator: output number n is a function of the key and
n alone (Salmon et al., *Parallel Random Numbers: As Easy as 1, 2, 3*, SC 2011). A
block of B real symbols takes ceil(B/2) words of 64 bits and a Box-Muller transform,
which consumes a fixed amount, so that block k starts at a known counter and a run of
consecutive blocks is drawn at once.

The key is made of seed and link. Of the counter's four words the lower two number what
is drawn, the third says what it is for (:class:`Purpose`), the fourth is the bandwidth:
a block's noise, its fading gain and its SNR are thus independent of one another.
"""

from __future__ import annotations

import hashlib
import threading
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_WORDS_PER_COUNTER = 4
_MASK = (1 << 64) - 1
PIECES_MAX = 1 << 12
"""Pieces of one block, those that come again included."""
_AT_ONCE = 16_384
"""Symbols transformed together: what their steps leave behind stays in the cache."""


class Purpose(IntEnum):
    """Purpose of random words; each has a sequence of its own."""

    NOISE = 0
    SNR = 1
    GAIN = 2
    IMPULSE = 3
    ERASURE = 4


def _key(seed: int, link: str, what: str) -> NDArray[np.uint64]:
    digest = hashlib.sha256(f"airreid {what} 1\0{seed}\0{link}".encode()).digest()
    return np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)


class NoiseStream:
    """Unit-variance noise of one link, and the random words that its radio needs beside.

    ``seed`` and ``link`` name the link's noise; blocks of different bandwidths take
    theirs from separate sequences. May be shared by threads.
    """

    def __init__(self, seed: int, link: str, what: str = "noise") -> None:
        """``what``: ``noise`` of whole blocks; another word draws from another sequence."""
        self.seed, self.link = seed, link
        self._pieces: NoiseStream | None = None
        self._philox = np.random.Philox(counter=0, key=_key(seed, link, what))
        # Setting the state of one generator costs a tenth of making another.
        self._state = self._philox.state
        self._lock = threading.Lock()

    def blocks(self, first: int, count: int, bandwidth: int) -> NDArray[np.float32]:
        """Draws the noise of blocks ``first .. first + count - 1``: float32 (count, bandwidth).

        Each value is N(0, 1), independent of all others. Raises ``ValueError`` for
        negative numbers and for a bandwidth of 0.
        """
        if first < 0 or count < 0 or bandwidth < 1:
            raise ValueError(f"no noise for blocks {first}+{count} of bandwidth {bandwidth}")
        pairs = -(-bandwidth // 2)
        out = np.empty((count, 2 * pairs), np.float32)
        rows = max(1, _AT_ONCE // (2 * pairs))
        for start in range(0, count, rows):
            part = out[start : start + rows]
            words = self.words(Purpose.NOISE, first + start, len(part), pairs, bandwidth)
            _box_muller(words, part)
        return out[:, :bandwidth]

    def pieces(self) -> NoiseStream:
        """Returns the stream of blocks that are sent in pieces.

        Piece p of block k is number ``PIECES_MAX k + p`` of it, so its noise does not depend on
        which pieces share a message.
        """
        if self._pieces is None:
            self._pieces = NoiseStream(self.seed, self.link, "pieces")
        return self._pieces

    def words(
        self, purpose: Purpose, first: int, count: int, width: int, bandwidth: int = 0
    ) -> NDArray[np.uint64]:
        """Draws uniform words of blocks ``first .. first + count - 1``: uint64 (count, width).

        One purpose and bandwidth must always ask for the same ``width``: it decides where
        a block's words begin. Raises ``ValueError`` for negative numbers.
        """
        if first < 0 or count < 0:
            raise ValueError(f"no random words for blocks {first}+{count}")
        counters = -(-width // _WORDS_PER_COUNTER)
        start = first * counters
        with self._lock:
            self._state["state"]["counter"] = np.array(
                [start & _MASK, start >> 64, purpose, bandwidth], dtype=np.uint64
            )
            self._state["buffer_pos"] = _WORDS_PER_COUNTER
            self._philox.state = self._state
            words = self._philox.random_raw(count * counters * _WORDS_PER_COUNTER)
        return words.reshape(count, counters * _WORDS_PER_COUNTER)[:, :width]


def _box_muller(words: NDArray[np.uint64], out: NDArray[np.float32]) -> None:
    """Writes N(0, 1) from words (n, p) into ``out`` (n, 2p): upper halves radii, lower angles."""
    pairs = words.shape[1]
    halves = words.astype("<u8", copy=False).view("<u4").reshape(*words.shape, 2)
    radius = halves[..., 1].astype(np.float32)
    radius += np.float32(0.5)
    radius *= np.float32(2.0**-32)
    np.minimum(radius, np.float32(1.0), out=radius)
    np.log(radius, out=radius)
    radius *= np.float32(-2.0)
    np.sqrt(radius, out=radius)
    angle = halves[..., 0].astype(np.float32)
    angle *= np.float32(2.0 * np.pi * 2.0**-32)
    np.multiply(radius, np.cos(angle), out=out[:, :pairs])
    np.multiply(radius, np.sin(angle, out=angle), out=out[:, pairs:])
