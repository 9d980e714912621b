"""Arrays as bytes, and bytes checked into arrays: little-endian float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airreid.errors import InputError

BLOCK_BYTES_MAX = 256 * 1024
"""Longest message of a block that is parsed, in bytes; the longest block has an eighth of it."""
LARGEST = 1e6
"""Symbols have mean power 1 (at -60 dB noise of power 1e6, magnitude 1e3) and features
magnitudes of some units; what is beyond this is a mistake or an attack."""
SMALLEST = 1e-6
"""Shortest feature that names anybody: below it rounding takes the direction away, and with it
every search that should find it."""


def to_bytes(values: NDArray[np.floating]) -> bytes:
    """Converts float (n,) -> 4 n bytes."""
    return np.ascontiguousarray(values, dtype="<f4").tobytes()


def from_bytes(data: bytes, length: int, what: str) -> NDArray[np.float32]:
    """Reads 4 * length bytes -> float32 (length,), finite and below ``LARGEST`` in magnitude.

    Raises :class:`InputError` that names ``what`` for another length, NaN, infinity and
    values so large that networks and norms would overflow on them.
    """
    if len(data) != 4 * length:
        raise InputError(
            f"{what}: {len(data)} bytes where {4 * length} are needed ({length} float32 values)"
        )
    values = np.frombuffer(data, dtype="<f4").astype(np.float32)
    check_magnitude(values, what)
    return values


def check_feature(values: NDArray[np.float32], what: str) -> None:
    """Raises :class:`InputError` for a feature (n,) that :func:`check_magnitude` refuses, or
    that is shorter than ``SMALLEST``."""
    check_magnitude(values, what)
    if float(np.dot(values, values)) > 2 * SMALLEST**2:
        return
    length = float(np.linalg.norm(values.astype(np.float64)))
    if length == 0:
        raise InputError(f"{what}: all zeros, it names nobody")
    if length < SMALLEST:
        raise InputError(
            f"{what}: its length is {length:.1e}, too short to be compared; features have lengths "
            f"above {SMALLEST:g}: send it as the backbone gives it"
        )


def check_magnitude(values: NDArray[np.float32], what: str) -> None:
    """Raises :class:`InputError` for NaN, infinity and magnitudes above ``LARGEST``."""
    usable = np.abs(values) <= LARGEST  # False for NaN
    if not usable.all():
        bad = int(np.flatnonzero(~usable)[0])
        raise InputError(
            f"{what}: value {bad} is {values[bad]}; all must be finite and at most {LARGEST:g}"
        )


def repeated_at_most(data: bytes, count: int) -> bool:
    """Returns whether a message has at most ``count`` fields, repeated ones each for itself.

    It looks at the outermost fields alone, and at no more than ``count`` of them, so that a
    message of a million empty items is known before it is parsed. What is no message has
    few fields: its parser will say so.
    """
    position = 0
    for _ in range(count):
        if position >= len(data):
            return True
        tag, position = _varint(data, position)
        match tag & 7:
            case 0:
                _, position = _varint(data, position)
            case 1:
                position += 8
            case 2:
                length, position = _varint(data, position)
                position += length
            case 5:
                position += 4
            case _:
                return True
    return position >= len(data)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Returns the number at a position and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    return value, position
