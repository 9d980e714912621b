"""Credits of streams: each may have its share of a bound over all unanswered blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

ACTIVE_SECONDS = 1.0
"""Time after its last block for which a stream counts among those that share."""
_RECOUNT_SECONDS = 0.1
DEAR_MAX = 4
"""Dear blocks of all streams that are under way at once."""


class Share:
    """One stream's part in :class:`Credits`."""

    def __init__(self) -> None:
        self.in_flight = 0
        """Blocks admitted and not answered."""
        self.waiting = False
        """Whether a block has been read and there is no room for it yet."""
        self.last_block = float("-inf")
        """Clock time when a block was last admitted."""
        self.dear = asyncio.Semaphore(1)
        """Turn of this stream's next dear block."""


class Credits:
    """Equal shares of ``max_in_flight`` for the streams that send, each at most ``window``.

    A stream alone has its whole window. With n streams that send, each has
    ``max_in_flight // n``, at least 1. Streams that only stand open take nothing. Shares
    are counted anew ten times a second; in between, :meth:`admit` holds the bound: it lets
    waiting streams in one block at a time, in the order in which they came. A dear block, one
    that costs many others, waits for the stream's own last one and then for a turn among a few
    of all streams: it slows its stream and nobody else. Owned by one event loop.
    """

    def __init__(self, window: int, max_in_flight: int, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds that only grow."""
        self._max_window = window
        self._max_in_flight = max_in_flight
        self._clock = clock
        self._room = asyncio.Semaphore(max_in_flight)
        self._dear = asyncio.Semaphore(DEAR_MAX)
        self._shares: set[Share] = set()
        self._counted_at = float("-inf")
        self._active = 0
        self.in_flight = 0
        """Blocks admitted and not answered, of streams that have ended too."""

    @property
    def streams(self) -> int:
        """Number of open streams."""
        return len(self._shares)

    def join(self) -> Share:
        """Adds a stream that opens."""
        share = Share()
        self._shares.add(share)
        return share

    def leave(self, share: Share) -> None:
        """Removes a stream that has ended; what it has in flight counts until it is answered."""
        self._shares.discard(share)

    def window(self) -> int:
        """Returns how many blocks a stream may have unanswered now."""
        now = self._clock()
        if now - self._counted_at >= _RECOUNT_SECONDS:
            self._counted_at = now
            self._active = sum(
                share.in_flight > 0 or share.waiting or now - share.last_block < ACTIVE_SECONDS
                for share in self._shares
            )
        return max(1, min(self._max_window, self._max_in_flight // max(1, self._active)))

    async def admit(self, share: Share, dear: bool = False) -> None:
        """Waits until there is room for one more block, then counts it."""
        if dear:
            await share.dear.acquire()
            try:
                await self._dear.acquire()
            except BaseException:
                share.dear.release()
                raise
        share.waiting = True
        try:
            await self._room.acquire()
        except BaseException:
            self._forget_dear(share, dear)
            raise
        finally:
            share.waiting = False
        self.in_flight += 1
        share.in_flight += 1
        share.last_block = self._clock()

    def answered(self, share: Share, dear: bool = False) -> None:
        """Counts off a block that was admitted and has its answer."""
        self._forget_dear(share, dear)
        share.in_flight -= 1
        self.in_flight -= 1
        self._room.release()

    def _forget_dear(self, share: Share, dear: bool) -> None:
        if dear:
            self._dear.release()
            share.dear.release()
