"""Design of a polar code that is sent in pieces: each piece makes a better code of those before.

The code grows by polarizing matrix extension (Zhao et al., *An adaptive IR-HARQ scheme for polar
codes by polarizing matrix extension*, IEEE Communications Letters 22, 2018). Its mother code of N
bits is sent from the last eighth to the front. Coded bit j is the sum of the inputs i that contain
j, so an input has no part in anything that was sent before its own coded bit was. As a piece makes
new inputs part of the code, the message bits that are now least reliable are *copied* to new inputs
that are better. A receiver of that piece decides a bit at its copy, and then knows it at its old
place; a receiver of fewer pieces has never heard of the copy.

An extension that is half sent is a poor one, so the code grows by eighths. It begins with as few of
them as hold the message, and a bit that was copied may be copied again.

Pieces carry fewer bits per symbol the later they are: who asks for a late one has a bad channel.

Camera and access point each make the design again, so it is made in whole numbers alone and is the
same on every machine: density evolution of an erasure channel in fixed point, from a table of what
the bits of a PAM symbol carry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from airreid.digital.bit_information import INFORMATION
from airreid.digital.modem import interleaver
from airreid.digital.polar import bit_reversed
from airreid.payload import BLOCK_BANDWIDTHS

Places = NDArray[np.int64]
LENGTH_MAX = 65536
"""Longest mother code."""
_SPARE_PERCENT = 130
"""Least coded bits of a quarter, in percent of the message."""
_DESIGN_PERCENT = 110
"""Information that a state of the code is designed for, in percent of the message."""
_LEAST_PERCENT = 125
"""Coded bits from which on a message can be decoded, in percent of the message."""
_AHEAD = 2
"""Pieces after the one that brings a copy which the copy is chosen for."""
_DENSE = (75, 150, 230)
"""Hundredths of a bit per use above which pieces have 2, 3 and 4 bits per symbol."""
_FRACTION = np.uint64(31)
_ONE = 1 << 31


@dataclass(frozen=True)
class PieceState:
    """The code that a receiver of some pieces decodes."""

    start: int
    """First input that takes part; those before are of coded bits that were not sent."""
    decided_at: Places
    """(K,): the input where each message bit is decided, counted from ``start``."""
    copies: Places
    """(n, 2): inputs where a bit is decided, and later ones where it comes again."""


@dataclass(frozen=True)
class PieceCode:
    """A polar code of ``message_bits`` that is sent in pieces of ``piece`` real uses."""

    message_bits: int
    """K, payload and CRC."""
    piece: int
    mother_length: int
    """N, a power of two."""
    first_part: int
    """Coded bits that are sent as one code before it grows, a power of two."""
    bits_per_symbol: tuple[int, ...]
    """Density of each piece of a block; after the last the first comes again."""
    inputs: tuple[tuple[int, ...], ...]
    """Inputs that each message bit is put to, as they were added."""

    @property
    def pieces(self) -> int:
        """Number of pieces of a block."""
        return len(self.bits_per_symbol)

    @cached_property
    def sent(self) -> tuple[Places, ...]:
        """Positions of the codeword that each piece carries, in the order of its coded bits."""
        order = _order(self.mother_length, self.first_part)
        ends = np.cumsum([self.piece * count for count in self.bits_per_symbol])
        return tuple(
            order[np.arange(end - self.piece * count, end) % self.mother_length]
            for end, count in zip(ends.tolist(), self.bits_per_symbol, strict=True)
        )

    @cached_property
    def sent_bits(self) -> tuple[int, ...]:
        """Different coded bits sent after each piece."""
        ends = self.piece * np.cumsum(self.bits_per_symbol)
        return tuple(np.minimum(ends, self.mother_length).tolist())

    def state(self, pieces: int) -> PieceState | None:
        """Returns the code after some pieces; None where they do not hold the message yet."""
        sent = self.sent_bits[min(pieces, self.pieces) - 1] if pieces else 0
        return self._state(sent) if _may_decode(sent, self.message_bits) else None

    def _state(self, sent: int) -> PieceState:
        length = self.mother_length
        start = next(length - length // parts for parts in (8, 4, 2, 1) if sent <= length // parts)
        place = _place(length, self.first_part)
        decided, copies = [], []
        for inputs in self.inputs:
            known = [source for source in inputs if place[source] < sent]
            # the first input was sent by the time of the first state, and copies come before it
            decided.append(known[-1] - start)
            copies += [(known[-1] - start, copy - start) for copy in known[:-1]]
        return PieceState(
            start,
            np.asarray(decided, np.int64),
            np.asarray(copies, np.int64).reshape(-1, 2),
        )


def _order(length: int, first: int) -> Places:
    """Returns the positions of a mother code in the order in which they are sent: (N,).

    The last ``first`` positions and then eighths, each backwards in bit-reversed order: every
    beginning of one is a code that is punctured evenly.
    """
    eighth = length // 8
    starts = [length - first, *range(length - first - eighth, -1, -eighth)]
    sizes = [first, *[eighth] * (len(starts) - 1)]
    return np.concatenate(
        [start + bit_reversed(size)[::-1] for start, size in zip(starts, sizes, strict=True)]
    )


@lru_cache(maxsize=64)
def _place(length: int, first: int) -> Places:
    """Returns the place of each position in :func:`_order`: (N,)."""
    place = np.empty(length, np.int64)
    place[_order(length, first)] = np.arange(length)
    place.flags.writeable = False
    return place


@lru_cache(maxsize=256)
def design_pieces(message_bits: int, bandwidth: int, piece: int) -> PieceCode:
    """Designs the code of a message of K bits whose scheme has ``bandwidth`` real uses.

    Raises :class:`ValueError` for a bandwidth that is not whole pieces.
    """
    if bandwidth % piece or bandwidth < piece or message_bits < 1:
        raise ValueError(f"{message_bits} bits in {bandwidth} uses in pieces of {piece}")
    length = 8
    while 25 * length < _SPARE_PERCENT * message_bits and length < LENGTH_MAX:
        length *= 2
    counts: list[int] = []
    least, most = bandwidth // piece, BLOCK_BANDWIDTHS * bandwidth // piece
    while len(counts) < least or (piece * sum(counts) < length and len(counts) < most):
        counts.append(_bits_per_symbol(message_bits, piece * (len(counts) + 1)))
    first = length // 8
    sent = np.cumsum([piece * count for count in counts])
    least_sent = next((n for n in sent.tolist() if _may_decode(n, message_bits)), length)
    while first < min(least_sent, length // 4):
        first *= 2
    blank = PieceCode(message_bits, piece, length, first, tuple(counts), ())
    return replace(blank, inputs=_inputs(blank))


def _may_decode(sent: int, message_bits: int) -> bool:
    """Says whether so many coded bits may hold a message."""
    return 100 * sent >= _LEAST_PERCENT * message_bits


def _bits_per_symbol(message_bits: int, uses: int) -> int:
    """Returns the bits per symbol of a piece that ends after so many uses."""
    hundredths = 100 * message_bits // uses
    return 1 + sum(hundredths > least for least in _DENSE)


def _inputs(code: PieceCode) -> tuple[tuple[int, ...], ...]:
    """Chooses the inputs of each message bit, piece after piece."""
    size, place = code.message_bits, _place(code.mother_length, code.first_part)
    inputs: list[list[int]] = []
    for piece, sent in enumerate(code.sent_bits):
        if not _may_decode(sent, size):
            continue
        if not inputs:
            unreliable = _unreliability(code, piece)
            chosen = np.sort(np.argsort(unreliable, kind="stable")[:size]).tolist()
            inputs = [[source] for source in chosen]
            continue
        before = code.sent_bits[piece - 1]
        if before == sent:
            break
        unreliable = _unreliability(code, min(piece + _AHEAD, code.pieces - 1))
        new = np.flatnonzero((place >= before) & (place < sent)).tolist()
        _copy(
            inputs, sorted(new, key=lambda source: (int(unreliable[source]), -source)), unreliable
        )
    return tuple(tuple(sources) for sources in inputs)


def _copy(inputs: list[list[int]], new: list[int], unreliable: NDArray[np.uint64]) -> None:
    """Adds to the least reliable bits those of the new inputs, surest first, that are better.

    A copy is decided before the place that it was copied from.
    """
    waiting = sorted(inputs, key=lambda sources: -int(unreliable[sources[-1]]))
    for source in new:
        for sources in waiting:
            old = sources[-1]
            if unreliable[source] >= unreliable[old]:
                break
            if source < old:
                sources.append(source)
                waiting = [others for others in waiting if others is not sources]
                break


def _unreliability(code: PieceCode, last: int) -> NDArray[np.uint64]:
    """Returns the erasure probability of each input once piece ``last`` was heard, times 2^31.

    At the lowest SNR whose pieces carry the message with a little to spare.
    """
    counts = code.bits_per_symbol[: last + 1]
    columns = len(INFORMATION[1][0])

    def carried(column: int) -> int:
        return sum(code.piece * sum(row[column] for row in INFORMATION[bits]) for bits in counts)

    enough = 10 * _DESIGN_PERCENT * code.message_bits
    column = next((c for c in range(columns) if carried(c) >= enough), columns - 1)
    erased = np.full(code.mother_length, _ONE, np.uint64)
    for bits, positions in zip(counts, code.sent, strict=False):
        lost = [_ONE - _ONE * row[column] // 1000 for row in INFORMATION[bits]]
        by_plane = np.repeat(np.asarray(lost, np.uint64), code.piece)
        sent = np.empty(len(positions), np.uint64)
        sent[interleaver(len(positions), bits)] = by_plane
        erased[positions] = erased[positions] * sent >> _FRACTION
    level = erased[None, :]
    while level.shape[1] > 1:
        half = level.shape[1] // 2
        first, second = level[:, :half], level[:, half:]
        both = first * second >> _FRACTION
        level = np.stack([first + second - both, both], axis=1).reshape(-1, half)
    return level[:, 0]
