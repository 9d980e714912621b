"""Limits of the bodies that HTTP requests bring, by route."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass

from starlette.exceptions import HTTPException

from airreid.images import MAX_BYTES

_KIB, _MIB = 1 << 10, 1 << 20
_IMAGES = ("/v1/search", "/v1/verify", "/v1/entries")
_FEATURES = ("/v1/search/feature", "/v1/verify/feature", "/v1/entries/feature")
_BATCH = "/v1/entries/batch"
_DOCUMENTS = ("/v1/policy", "/v1/jobs")
FIRST_SECONDS = 10.0
"""Time for a body, and besides that ..."""
BYTES_PER_SECOND = 4096
"""... a second for so many bytes that have come."""


@dataclass(frozen=True)
class BodyLimit:
    """Size and shape of a body."""

    bytes: int
    colons: int = 4_000
    """Colons in a JSON text, as many as it has keys at least."""
    brackets: int = 1_000
    """Opening brackets of a JSON text."""
    commas: int = 20_000
    """Commas in a JSON text."""


_PUBLIC = BodyLimit(4 * _KIB)
_SMALL = BodyLimit(64 * _KIB)
_DOCUMENT = BodyLimit(_MIB, colons=10_000, brackets=5_000)
_FORM = 64 * _KIB
"""Bytes of a form beside the image in it."""
_IMAGE = BodyLimit(MAX_BYTES + _FORM)
_FEATURE = BodyLimit(2 * _MIB, commas=80_000)


def body_limit(method: str, path: str, most: int) -> BodyLimit:
    """Returns the limit of a request's body; no body has more than ``most`` bytes."""
    if method in ("GET", "HEAD") or not path.startswith("/v1/"):
        limit = _PUBLIC
    elif path == _BATCH:
        limit = BodyLimit(most, colons=20_000, brackets=4_000, commas=500_000)
    elif path in _FEATURES:
        limit = _FEATURE
    elif path in _IMAGES:
        limit = _IMAGE
    else:
        limit = _DOCUMENT if path in _DOCUMENTS else _SMALL
    if limit.bytes <= most:
        return limit
    return BodyLimit(most, limit.colons, limit.brackets, limit.commas)


def image_bytes(most: int) -> int:
    """Returns the bytes that an image in a form may have, where no body has more than ``most``."""
    return max(0, min(MAX_BYTES, most - _FORM))


class BodyMemory:
    """Counter of the bytes of all bodies that are held; safe in any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self.held = 0

    def take(self, size: int) -> bool:
        """Counts bytes that came; returns False, and counts nothing, where that is too much."""
        with self._lock:
            if self.held + size > self._most:
                return False
            self.held += size
            return True

    def give_back(self, size: int) -> None:
        """Counts off bytes that are held no longer."""
        with self._lock:
            self.held -= size


class BodyClock:
    """Time that a body may take: some seconds, and more as it comes."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def timeout(self, received: int) -> asyncio.Timeout:
        """Returns the timeout of the next part, after so many bytes."""
        over = self._started + FIRST_SECONDS + received / BYTES_PER_SECOND
        return asyncio.timeout(over - time.monotonic())


class Shape:
    """Counter of the parts of a JSON text, as its bytes come.

    The parts are counted, not parsed: characters inside of texts count too.
    """

    def __init__(self, limit: BodyLimit) -> None:
        self._left = {"colons": limit.colons, "brackets": limit.brackets, "commas": limit.commas}
        self._most = dict(self._left)

    def add(self, data: bytes) -> None:
        """Raises HTTP 413 where the text has more parts than its route has use for."""
        self._left["colons"] -= data.count(b":")
        self._left["brackets"] -= data.count(b"{") + data.count(b"[")
        self._left["commas"] -= data.count(b",")
        for what, left in self._left.items():
            if left < 0:
                raise HTTPException(
                    413,
                    f"the body has more than {self._most[what]} {what}; send smaller parts",
                )
