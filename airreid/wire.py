"""Arrays as bytes, and bytes checked into arrays: little-endian float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airreid.errors import InputError


def to_bytes(values: NDArray[np.floating]) -> bytes:
    """float (n,) -> 4 n bytes."""
    return np.ascontiguousarray(values, dtype="<f4").tobytes()


def from_bytes(data: bytes, length: int, what: str) -> NDArray[np.float32]:
    """4 * length bytes -> float32 (length,), all finite.

    Raises :class:`InputError` that names ``what`` for another length, NaN or infinity.
    """
    if len(data) != 4 * length:
        raise InputError(
            f"{what}: {len(data)} bytes where {4 * length} are needed ({length} float32 values)"
        )
    values = np.frombuffer(data, dtype="<f4").astype(np.float32)
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(f"{what}: value {bad} is {values[bad]}; all must be finite")
    return values
