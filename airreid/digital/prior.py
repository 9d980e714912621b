"""The learned prior as integers: the same on every machine, made once at export."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from math import log2
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from airreid.validation import FrozenModel

PRECISION = 16
"""Bits of a count: the counts of one dimension add up to 2^16."""
TOTAL = 1 << PRECISION
LARGEST = 2**31 - 1
"""Largest magnitude of a latent symbol."""

Row = Annotated[tuple[Annotated[int, Field(ge=1, lt=TOTAL)], ...], Field(min_length=2)]


class Prior(FrozenModel):
    """Integer tables, one for each dimension of the latent.

    Dimension i gives the symbols ``low[i], low[i] + 1, ...`` the probabilities
    ``counts[i][:-1] / 2^16``; the last count is that of *escape*, which announces a
    symbol outside the table. Every count is at least 1, so that everything can be sent.
    """

    low: Annotated[tuple[Annotated[int, Field(ge=-(2**20), le=2**20)], ...], Field(min_length=1)]
    counts: tuple[Row, ...]

    @model_validator(mode="after")
    def _whole(self) -> Prior:
        if len(self.low) != len(self.counts):
            raise ValueError(f"{len(self.low)} lows and {len(self.counts)} tables")
        for i, row in enumerate(self.counts):
            if sum(row) != TOTAL:
                raise ValueError(f"counts of dimension {i} add up to {sum(row)}, not {TOTAL}")
        return self

    @property
    def dimensions(self) -> int:
        return len(self.low)

    @cached_property
    def cumulative(self) -> tuple[tuple[int, ...], ...]:
        """Per dimension, 0 and the running sums of its counts."""
        return tuple((0, *accumulate(row)) for row in self.counts)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the table's numbers, whatever file they were read from."""
        text = ";".join(
            f"{low}:{','.join(map(str, row))}"
            for low, row in zip(self.low, self.counts, strict=True)
        )
        return hashlib.sha256(text.encode("ascii")).digest()

    def symbol_bits(self, latent: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float64]:
        """Returns the ideal bits of each symbol of a latent (d,): -log2 of its probability.

        A symbol outside its table costs the escape and the bits that follow it.
        """
        bits = np.empty(self.dimensions)
        rows = zip(latent, self.low, self.counts, strict=True)
        for i, (value, low, row) in enumerate(rows):
            distance = excess(int(value), low, len(row) - 1)
            count = row[-1] if distance else row[int(value) - low]
            bits[i] = PRECISION - log2(count) + (escape_bits(distance) if distance else 0)
        return bits

    def code_length(self, latent: Sequence[int] | NDArray[np.integer]) -> float:
        """Returns the ideal length of a latent (d,) in bits: see :meth:`symbol_bits`."""
        return float(self.symbol_bits(latent).sum())

    def most_likely(self) -> NDArray[np.int64]:
        """Returns the most probable symbol of each dimension (d,)."""
        best = [int(np.argmax(row[:-1])) for row in self.counts]
        return np.asarray(self.low, dtype=np.int64) + np.asarray(best, dtype=np.int64)


def excess(value: int, low: int, size: int) -> int:
    """Returns how far a symbol is outside ``low .. low + size - 1``: 1, 2, ... beyond the upper
    end, -1, -2, ... below the lower; 0 inside."""
    if value < low:
        return value - low
    return max(0, value - (low + size - 1))


def escape_bits(distance: int) -> int:
    """Counts the bits after an escape: a sign and the Elias gamma code of the distance."""
    return 1 + 2 * abs(distance).bit_length() - 1


def quantise(probabilities: NDArray[np.float64]) -> tuple[int, ...]:
    """Makes counts that add up to 2^16 from probabilities (n,), each at least 1.

    The last probability is that of escape. Rounds down and gives what is left where
    the fraction lost is largest. Raises :class:`ValueError` for what is no distribution.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 1 or len(p) < 2 or len(p) > TOTAL // 2:
        raise ValueError(f"needs 2 to {TOTAL // 2} probabilities, not an array of shape {p.shape}")
    if not np.isfinite(p).all() or (p < 0).any() or p.sum() <= 0:
        raise ValueError("probabilities must be finite, not negative, and not all zero")
    share = p / p.sum() * (TOTAL - len(p))
    counts = np.floor(share).astype(np.int64)
    left = TOTAL - len(p) - int(counts.sum())
    counts[np.argsort(counts - share, kind="stable")[:left]] += 1
    return tuple((counts + 1).tolist())
