"""Memory of this process, as the C library keeps it."""

from __future__ import annotations

import contextlib
import ctypes
import gc

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of ``mallopt`` (malloc.h)."""
_KEPT_BYTES = 64 << 20
"""Free memory at the end of the heap that is kept for what comes next."""
_LARGE_BYTES = 4 << 20
"""Pieces from this size on are the system's again as soon as they are freed."""


def give_back() -> None:
    """Has the C library return freed memory to the system, where it can."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def keep_little() -> None:
    """Has the C library keep little of what is freed: for services that take large messages.

    Left to itself, glibc grows what it keeps with the largest piece that was ever freed.
    """
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def leave_alone() -> None:
    """Has the garbage collector leave alone what is there by now: a service calls it when ready.

    A whole collection looks at every object, holding the interpreter: with what is imported, 80 ms
    and more, for which no camera is answered.
    """
    gc.collect()
    gc.freeze()
