"""Cyclic redundancy checks that know which table the message was made with.

Polynomials: CRC11, CRC16 and CRC24C of 3GPP TS 38.212, section 5.1. The register starts at
the last 11, 16 or 24 bits of ``seed`` instead of 0, and a CRC is linear, so two starts never
give one message the same check bits: a message made with a foreign table fails as a
flipped bit does, unless those bits of the tables' digests agree by chance.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
CrcBits = Literal[11, 24]
"""Check bits of a whole block."""
PieceCrcBits = Literal[16, 24]
"""Check bits of a block in pieces."""

_POLYNOMIALS = {11: 0b110_0010_0001, 16: 0x1021, 24: 0xB2B117}
"""Without the leading power: x^11 + x^10 + x^9 + x^5 + 1, x^16 + x^12 + x^5 + 1, and x^24 + x^23
+ x^21 + x^20 + x^17 + x^15 + x^13 + x^12 + x^8 + x^4 + x^2 + x + 1."""


class Crc:
    """Check of messages of one length under one seed."""

    def __init__(self, length: int, crc_bits: CrcBits | PieceCrcBits, seed: bytes = b"") -> None:
        """``seed``: 4 bytes, say the first of a table's digest; empty for 0."""
        start = int.from_bytes(seed[:4], "big") % (1 << crc_bits)
        self._matrix, powers = _matrix(length, crc_bits)
        self._constant = np.asarray(
            [_bit_of(start, i, crc_bits) for i in range(crc_bits)], np.int64
        )
        self._constant = self._constant @ powers % 2

    def of(self, bits: Bits) -> Bits:
        """Returns check bits (..., crc_bits) of messages (..., length)."""
        check = bits.astype(np.float32) @ self._matrix + self._constant
        return np.asarray(check.astype(np.int64) & 1, dtype=np.uint8)

    def append(self, bits: Bits) -> Bits:
        """Returns messages (..., length) with their check bits behind them."""
        return np.concatenate([bits, self.of(bits)], axis=-1)

    def passes(self, bits: Bits) -> NDArray[np.bool_]:
        """Says whether messages with check bits (..., length + crc_bits) are whole: (...)."""
        length = len(self._matrix)
        passes: NDArray[np.bool_] = (self.of(bits[..., :length]) == bits[..., length:]).all(axis=-1)
        return passes


def _bit_of(value: int, i: int, width: int) -> int:
    """Returns bit ``i`` of a register, most significant first."""
    return value >> (width - 1 - i) & 1


@lru_cache(maxsize=256)
def _matrix(length: int, crc_bits: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows: the check bits that each message bit flips; and the register's map over a message.

    float32 holds the sums exactly: they are at most ``length`` < 2^24.
    """
    polynomial, top, full = _POLYNOMIALS[crc_bits], 1 << (crc_bits - 1), (1 << crc_bits) - 1

    def advance(register: int) -> int:
        carry = register & top
        return (register << 1 & full) ^ (polynomial if carry else 0)

    rows = []
    register = polynomial  # what the last message bit alone leaves behind
    for _ in range(length):
        rows.append([_bit_of(register, i, crc_bits) for i in range(crc_bits)])
        register = advance(register)
    powers = []
    for i in range(crc_bits):
        register = 1 << (crc_bits - 1 - i)
        for _ in range(length):
            register = advance(register)
        powers.append([_bit_of(register, j, crc_bits) for j in range(crc_bits)])
    return np.asarray(rows[::-1], np.float32).reshape(length, crc_bits), np.asarray(
        powers, np.int64
    )
