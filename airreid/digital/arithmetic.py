"""An exact arithmetic coder over integer tables, in whole numbers of any size.

The interval of a message is kept as integers ``low`` and ``width`` over a power of two,
so nothing is ever rounded: no carry, no precision to run out of, the same bits on every
machine. The code word is the shortest bit string whose value, continued by zeros, lies
in the interval: never longer than the ideal length rounded up, and a receiver that has
it padded with zeros needs neither its length nor an end mark, for it knows how many
symbols there are.

Source: Rissanen and Langdon, *Arithmetic coding*, IBM J. Res. Dev. 23 (1979).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from airreid.digital.prior import LARGEST, PRECISION, Prior, excess
from airreid.errors import AirReidError

Bits = NDArray[np.uint8]
_GAMMA_MAX = LARGEST.bit_length() + 1


class CorruptMessageError(AirReidError):
    """Bits that no encoder with this table makes."""


def encode(latent: Sequence[int] | NDArray[np.integer], prior: Prior) -> Bits:
    """Symbols (d,) -> bits (k,), uint8 of 0 and 1; k may be 0.

    Raises :class:`ValueError` for another number of symbols than the prior has
    dimensions and for magnitudes above 2^31 - 1.
    """
    if len(latent) != prior.dimensions:
        raise ValueError(f"{len(latent)} symbols for a prior of {prior.dimensions} dimensions")
    low, width, shift = 0, 1, 0
    for value, first, row in zip(map(int, latent), prior.low, prior.cumulative, strict=True):
        if abs(value) > LARGEST:
            raise ValueError(f"symbol {value}: magnitude above {LARGEST}")
        size = len(row) - 2
        symbol = value - first
        distance = excess(value, first, size)
        if distance:
            symbol = size
        low = (low << PRECISION) + width * row[symbol]
        width *= row[symbol + 1] - row[symbol]
        shift += PRECISION
        if distance:
            tail, count = _escape(distance)
            low = (low << count) + width * tail
            shift += count
    last = low + width - 1
    if low == 0:
        return np.zeros(0, np.uint8)
    step = ((low - 1) ^ last).bit_length() - 1
    return _to_bits(last >> step, shift - step)


def decode(bits: Bits, prior: Prior) -> NDArray[np.int64]:
    """Bits (k,), with zeros behind them or not, -> symbols (d,).

    Raises :class:`CorruptMessageError` for bits that :func:`encode` does not make.
    """
    value, length = _to_int(bits), len(bits)
    position, rest, width = 0, 0, 1

    def take(count: int) -> int:
        """The next ``count`` bits; zeros behind the end."""
        nonlocal position
        position += count
        over = position - length
        ahead = value << over if over > 0 else value >> -over
        return ahead & ((1 << count) - 1)

    symbols = []
    for first, row in zip(prior.low, prior.cumulative, strict=True):
        rest = (rest << PRECISION) + take(PRECISION)
        symbol = bisect_right(row, rest // width) - 1
        rest -= width * row[symbol]
        width *= row[symbol + 1] - row[symbol]
        size = len(row) - 2
        if symbol < size:
            symbols.append(first + symbol)
            continue

        def flip(width: int = width) -> int:
            """One bit of an escape."""
            nonlocal rest
            rest = (rest << 1) + take(1)
            bit = int(rest >= width)
            rest -= width * bit
            return bit

        negative, more = flip(), 0
        while not flip():
            more += 1
            if more >= _GAMMA_MAX:
                raise CorruptMessageError("an escape announces a symbol beyond all bounds")
        distance = 1
        for _ in range(more):
            distance = 2 * distance + flip()
        symbols.append(first - distance if negative else first + size - 1 + distance)
    latent = np.asarray(symbols, dtype=np.int64)
    if np.abs(latent).max() > LARGEST:
        raise CorruptMessageError("an escape announces a symbol beyond all bounds")
    canonical = encode(latent, prior)
    if len(canonical) > length or bits[len(canonical) :].any():
        raise CorruptMessageError("bits are left over behind the last symbol")
    if not np.array_equal(canonical, bits[: len(canonical)]):
        raise CorruptMessageError("the bits are not the shortest ones of their symbols")
    return latent


def _escape(distance: int) -> tuple[int, int]:
    """Sign and Elias gamma code (Elias, 1975) of a distance: the bits and their number."""
    size = abs(distance).bit_length()
    return (int(distance < 0) << (2 * size - 1)) | abs(distance), 2 * size


def _to_bits(value: int, length: int) -> Bits:
    whole = -(-length // 8)
    data = (value << (8 * whole - length)).to_bytes(whole, "big")
    return np.unpackbits(np.frombuffer(data, np.uint8), count=length)


def _to_int(bits: Bits) -> int:
    data = np.packbits(bits)
    return int.from_bytes(data.tobytes(), "big") >> (8 * len(data) - len(bits))
