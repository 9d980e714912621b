"""Cameras whose searches go deep: beside somebody with many thousands of entries."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

DEAR_SECONDS = 30.0
"""Time after such a search, which costs many others, for which the camera's blocks are dear."""
_CAMERAS = 4096
"""Cameras that are remembered, those of the latest such searches."""


class DeepSearches:
    """Times of searches that went deep, by camera; safe in any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds that only grow."""
        self._clock = clock
        self._lock = threading.Lock()
        self._last: OrderedDict[str, float] = OrderedDict()

    def note(self, edge_id: str) -> None:
        """Notes that a search of a camera went deep."""
        with self._lock:
            self._last[edge_id] = self._clock()
            self._last.move_to_end(edge_id)
            while len(self._last) > _CAMERAS:
                self._last.popitem(last=False)

    def of_late(self, edge_id: str) -> bool:
        """Tells whether a search of a camera went deep of late."""
        last = self._last.get(edge_id)
        return last is not None and self._clock() - last < DEAR_SECONDS
