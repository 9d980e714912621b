"""Pace of messages that are refused: who sends nothing else, waits; others are not held up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

BURST, PER_SECOND = 512, 200.0
"""Refused messages of all streams that cost no wait, and further ones that are read in a second."""


class RefusalPace:
    """Turns to read on, of streams whose message was refused; in one event loop.

    A refused message costs the event loop as much as a block, and takes no credit.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``clock`` gives seconds that only grow."""
        self._clock, self._sleep = clock, sleep
        self._next_turn = float("-inf")

    async def take(self) -> None:
        """Waits for the turn of the stream that calls, in the order of calls."""
        now = self._clock()
        self._next_turn = max(self._next_turn, now - BURST / PER_SECOND) + 1 / PER_SECOND
        if self._next_turn > now:
            await self._sleep(self._next_turn - now)
