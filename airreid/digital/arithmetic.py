"""An exact arithmetic coder over integer tables, in whole numbers of any size.

The interval of a message is kept as integers ``low`` and ``width`` over a power of two,
so nothing is ever rounded: no carry, no precision to run out of, the same bits on every
machine. The code word is the shortest bit string whose value, continued by zeros, lies
in the interval: never longer than the ideal length rounded up, and a receiver that has
it padded with zeros needs neither its length nor an end mark, for it knows how many
symbols there are.

Whole numbers of thousands of bits are slow to handle symbol by symbol. A group of symbols
is one map of the interval, ``low -> low 2^n + width c`` and ``width -> width f``, whose c
and f depend on the group alone: they are found among small numbers, and the decoder reads
the group off one quotient, for floor(floor(a / w) / f) = floor(a / (w f)).

Source: Rissanen and Langdon, *Arithmetic coding*, IBM J. Res. Dev. 23 (1979).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import add

import numpy as np
from numpy.typing import NDArray

from airreid.digital.prior import LARGEST, PRECISION, Prior, excess
from airreid.errors import AirReidError

Bits = NDArray[np.uint8]
_GAMMA_MAX = LARGEST.bit_length() + 1
_GROUP = 16
"""Symbols handled together; the bits do not depend on it."""
_DIGIT = (1 << PRECISION) - 1


class CorruptMessageError(AirReidError):
    """Bits that no encoder with this table makes."""


def encode(latent: Sequence[int] | NDArray[np.integer], prior: Prior) -> Bits:
    """Encodes symbols (d,) -> bits (k,), uint8 of 0 and 1; k may be 0.

    Raises :class:`ValueError` for another number of symbols than the prior has
    dimensions and for magnitudes above 2^31 - 1.
    """
    if len(latent) != prior.dimensions:
        raise ValueError(f"{len(latent)} symbols for a prior of {prior.dimensions} dimensions")
    values = list(map(int, latent.tolist() if isinstance(latent, np.ndarray) else latent))
    lows, tables = prior.low, prior.cumulative
    low, width, shift = 0, 1, 0
    for start in range(0, len(values), _GROUP):
        end = start + _GROUP
        offset, factor, count = 0, 1, 0
        for value, first, row in zip(
            values[start:end], lows[start:end], tables[start:end], strict=True
        ):
            symbol, size = value - first, len(row) - 2
            inside = 0 <= symbol < size
            if not inside:
                symbol = size
            bottom = row[symbol]
            offset = (offset << PRECISION) + factor * bottom
            factor *= row[symbol + 1] - bottom
            count += PRECISION
            if not inside:
                if abs(value) > LARGEST:
                    raise ValueError(f"symbol {value}: magnitude above {LARGEST}")
                tail, tail_bits = _escape(excess(value, first, size))
                offset = (offset << tail_bits) + factor * tail
                count += tail_bits
        low = (low << count) + width * offset
        width *= factor
        shift += count
    word, length = _shortest(low, width, shift)
    return _to_bits(word, length)


def _shortest(low: int, width: int, shift: int) -> tuple[int, int]:
    """Returns the shortest bits in the interval [low, low + width) / 2^shift, and their number."""
    if low == 0:
        return 0, 0
    last = low + width - 1
    step = ((low - 1) ^ last).bit_length() - 1
    return last >> step, shift - step


def decode(bits: Bits, prior: Prior) -> NDArray[np.int64]:
    """Decodes bits (k,), with zeros behind them or not, -> symbols (d,).

    Raises :class:`CorruptMessageError` for bits that :func:`encode` does not make.
    """
    stream = _Stream(_to_int(bits), len(bits))
    symbols: list[int] = []
    lows, tables = prior.low, prior.cumulative
    rest, width = 0, 1
    while (start := len(symbols)) < len(lows):
        group = tables[start : start + _GROUP]
        count = len(group) * PRECISION
        rest = (rest << count) + stream.take(count)
        quotient = rest // width
        places, part, factor = _inside(quotient, group)
        count -= len(places) * PRECISION
        symbols += map(add, lows[start : start + _GROUP], places)
        stream.position -= count
        rest = (rest >> count) - width * ((quotient >> count) - part)
        width *= factor
        size = len(group[len(places) - 1]) - 2
        if places[-1] == size:
            negative, distance, rest = _escaped(stream, rest, width)
            last = symbols[-1] - size  # the lowest of the table
            symbols[-1] = last - distance if negative else last + size - 1 + distance
    latent = np.asarray(symbols, dtype=np.int64)
    if np.abs(latent).max() > LARGEST:
        raise CorruptMessageError("an escape announces a symbol beyond all bounds")
    low = stream.heard() - rest
    word, size = _shortest(low, width, stream.position)  # what encode() makes of the symbols
    behind = stream.length - size
    if behind < 0 or stream.value & ((1 << behind) - 1):
        raise CorruptMessageError("bits are left over behind the last symbol")
    if stream.value >> behind != word:
        raise CorruptMessageError("the bits are not the shortest ones of their symbols")
    return latent


class _Stream:
    """Bits as one number, of which ``position`` have been read; zeros behind the end."""

    def __init__(self, value: int, length: int) -> None:
        self.value, self.length, self.position = value, length, 0

    def take(self, count: int) -> int:
        """Reads the next ``count`` bits."""
        self.position += count
        return self.heard() & ((1 << count) - 1)

    def heard(self) -> int:
        """Returns all bits that have been read."""
        over = self.position - self.length
        return self.value << over if over > 0 else self.value >> -over


def _inside(quotient: int, group: Sequence[Sequence[int]]) -> tuple[list[int], int, int]:
    """Finds the places of symbols in their tables, up to the first escape, from what is left of the
    message over the width before them; then this for the symbols behind, without the
    stream's next bits, and the factor of the width."""
    places: list[int] = []
    left = len(group) * PRECISION
    part, factor = 0, 1
    for row in group:
        left -= PRECISION
        part = (part << PRECISION) + (quotient >> left & _DIGIT)
        place = bisect_right(row, part // factor) - 1
        places.append(place)
        bottom = row[place]
        part -= factor * bottom
        factor *= row[place + 1] - bottom
        if place == len(row) - 2:
            break
    return places, part, factor


def _escaped(stream: _Stream, rest: int, width: int) -> tuple[bool, int, int]:
    """Reads sign (True below the table) and distance behind an escape; then what is left."""

    def flip() -> int:
        nonlocal rest
        rest = (rest << 1) + stream.take(1)
        bit = int(rest >= width)
        rest -= width * bit
        return bit

    negative, tail_bits = bool(flip()), 0
    while not flip():
        tail_bits += 1
        if tail_bits >= _GAMMA_MAX:
            raise CorruptMessageError("an escape announces a symbol beyond all bounds")
    distance = 1
    for _ in range(tail_bits):
        distance = 2 * distance + flip()
    return negative, distance, rest


def _escape(distance: int) -> tuple[int, int]:
    """Makes sign and Elias gamma code (Elias, 1975) of a distance: the bits and their number."""
    size = abs(distance).bit_length()
    return (int(distance < 0) << (2 * size - 1)) | abs(distance), 2 * size


def _to_bits(value: int, length: int) -> Bits:
    whole = -(-length // 8)
    data = (value << (8 * whole - length)).to_bytes(whole, "big")
    return np.unpackbits(np.frombuffer(data, np.uint8), count=length)


def _to_int(bits: Bits) -> int:
    data = np.packbits(bits)
    return int.from_bytes(data.tobytes(), "big") >> (8 * len(data) - len(bits))
