"""Pieces of one block as they are heard, and what they are worth together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from airreid.errors import InputError
from airreid.nested.stopping import MISMATCH
from airreid.payload import Analog, Coded, Payload
from airreid.signal import noise_variance

Array = NDArray[np.float32]
PIECE = 32
"""Real channel uses of a piece unless something else is asked for."""


@dataclass(frozen=True)
class Combined:
    """Pieces of a block together."""

    symbols: Array
    """(n,): the pieces heard, weighted where some are noisier than others."""
    snr_db: float
    """SNR of the best of them."""


class HeardPieces:
    """Pieces of one block; those that came more than once are combined by maximum ratio."""

    def __init__(self, bandwidth: int, piece: int) -> None:
        self._piece = piece
        self._mean = np.zeros((bandwidth // piece, piece), np.float64)
        self._precision = [0.0] * (bandwidth // piece)
        self.next_piece = 0
        """Number of the piece that must come next."""

    @property
    def uses(self) -> int:
        """Real channel uses heard, repeated ones included."""
        return self.next_piece * self._piece

    @property
    def nbytes(self) -> int:
        """Bytes of the symbols."""
        return self._mean.nbytes + 8 * len(self._precision)

    def add(self, payload: Analog, snr_db: float) -> None:
        """Adds whole pieces as received at an SNR.

        Raises :class:`InputError` for pieces of another size and for any but the next ones.
        """
        if payload.piece != self._piece:
            raise InputError(f"pieces of {payload.piece} uses; the scheme's have {self._piece}")
        if payload.first_piece != self.next_piece:
            raise InputError(f"piece {payload.first_piece} came where {self.next_piece} is due")
        precision = 1.0 / float(noise_variance(snr_db))
        for row in payload.symbols.reshape(-1, self._piece):
            place = self.next_piece % len(self._mean)
            before = self._precision[place]
            if before:
                share = precision / (before + precision)
                self._mean[place] += share * (row - self._mean[place])
            else:
                self._mean[place] = row
            self._precision[place] = before + precision
            self.next_piece += 1

    def combined(self, mismatch: float = MISMATCH) -> Combined:
        """Returns the pieces heard so far as symbols of one SNR.

        A piece noisier than the best counts less in every inner product, by the ratio of the
        variances of noise and of what changes between two images of a person (``mismatch``).
        """
        count = min(self.next_piece, len(self._mean))
        variances = [1.0 / precision for precision in self._precision[:count]]
        best, pieces = min(variances), self._mean[:count]
        if best != max(variances):
            pieces = pieces * ((best + mismatch) / (np.array(variances) + mismatch))[:, None]
        return Combined(pieces.astype(np.float32).reshape(-1), -10.0 * math.log10(best))


Block = TypeVar("Block", Analog, Coded)


def combine_frames(
    frames: Sequence[tuple[NDArray[np.floating], float]], piece: int, mismatch: float = MISMATCH
) -> Combined:
    """Combines frames of one person, as pieces that came more than once are.

    frames: received symbols (B,) and their SNR in dB each, at least one; pieces that were not heard
    are zeros. What changes between the frames of a track is little beside what changes between two
    cameras, so that only the noise falls.
    """
    shape = (-1, piece)
    total = np.zeros_like(frames[0][0].reshape(shape), np.float64)
    precision = np.zeros(len(total))
    for symbols, snr_db in frames:
        rows = symbols.reshape(shape)
        share = 1.0 / float(noise_variance(snr_db))
        total += share * rows
        precision += share * rows.any(axis=1)
    heard = precision > 0
    variance = 1.0 / precision[heard]
    best = float(variance.min(initial=np.inf))
    weight = (best + mismatch) / (variance + mismatch)
    total[heard] *= (variance * weight)[:, None]
    return Combined(total.astype(np.float32).reshape(-1), -10.0 * math.log10(best))


def pieces_of(block: Block, first_piece: int, uses: int) -> Block:
    """Cuts pieces out of a whole block; after its last the first comes again.

    ``first_piece`` counts on where pieces come again; ``uses`` is cut to whole pieces, at most a
    block's.
    """
    rows = block.symbols.reshape(-1, block.piece)
    count = max(1, min(uses // block.piece, len(rows)))
    chosen = (first_piece + np.arange(count)) % len(rows)
    return replace(block, symbols=rows[chosen].reshape(-1), first_piece=first_piece)


def cut(payload: Payload, uses: int) -> Payload:
    """Returns the first uses of a block in pieces; another block as it is."""
    match payload:
        case Analog() if payload.piece:
            return pieces_of(payload, 0, uses)
        case Coded() if payload.piece:
            return pieces_of(payload, 0, uses)
    return payload


def prefixes(bandwidth: int, piece: int) -> tuple[int, ...]:
    """Returns the prefixes that a code is judged by: 1, 2, 4 ... pieces, and all."""
    widths = [piece << power for power in range(16) if piece << power < bandwidth]
    return (*widths, bandwidth)


def check_pieces(bandwidth: int, piece: int = PIECE) -> None:
    """Raises :class:`InputError` for a bandwidth that is no multiple of a piece."""
    if bandwidth % piece or bandwidth < piece:
        raise InputError(
            f"bandwidth {bandwidth}: a nested code is made of pieces of {piece} uses; give a "
            f"multiple of {piece}"
        )


def check_prefix_weights(weights: Sequence[float], bandwidth: int, piece: int = PIECE) -> None:
    """Raises ``ValueError`` for other weights than one for each number of pieces of a code."""
    count = bandwidth // piece
    if len(weights) != count:
        raise ValueError(f"{len(weights)} prefix weights; {bandwidth} uses have {count} pieces")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        raise ValueError("prefix weights: give numbers from 0 on, one above 0 at least")


def part_name(scheme_id: str, uses: int) -> str:
    """Returns the name that thresholds for the first pieces of a scheme go by: ``SCHEME@USES``."""
    return f"{scheme_id}@{uses}"
