"""Outbox of a stream: answers on their way out, and the word on when to read the next block."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from accesspoint.receiver.credits import Share
from airreid.v1 import uplink_pb2

T = TypeVar("T")
_BYTES_MAX = 4 << 20
"""Bytes of waiting answers from which on no block is read."""


class _Answer(NamedTuple):
    data: bytes
    repeated: bool
    age_ms: float


class Outbox(Generic[T]):
    """Answers of one stream, in the order in which they are ready; owned by one event loop."""

    def __init__(self, share: Share, window: Callable[[], int], windows: int) -> None:
        """``windows``: how many times ``window()`` blocks may be unanswered before reading
        pauses."""
        self.share = share
        self.edge_id = ""
        """Camera whose stream it is; empty before its first block."""
        self.replaced = False
        """Whether the stream ends because its camera has newer ones."""
        self.queued: OrderedDict[int, T] = OrderedDict()
        """Items of this stream that wait to be computed, the oldest first, by identity."""
        self.unwritten = 0
        """Blocks read whose answers the transport has not taken."""
        self._window = window
        self._windows = windows
        self._ready: deque[_Answer] = deque()
        self._bytes = 0
        self._reading = True
        self._failed = False
        self._draining = False
        self._changed = asyncio.Event()
        self._written = asyncio.Event()

    def send(self, data: bytes, repeated: bool, age_ms: float) -> None:
        """Queues a serialised response. ``age_ms`` is the block's, 0 if that is not known."""
        self._ready.append(_Answer(data, repeated, age_ms))
        self._bytes += len(data)
        self._changed.set()

    def end_reading(self, failed: bool = False) -> None:
        """Notes that nothing more is read. ``failed``: nothing more need be answered either."""
        self._reading = False
        self._failed = failed
        self._changed.set()

    def drain(self) -> None:
        """Reads no more, and ends once what has been read is answered."""
        self._reading, self._draining = False, True
        self._changed.set()

    async def next(self) -> bytes | None:
        """Returns the next answer as it goes out; None once all are out and nothing is read."""
        while not self._ready:
            if self._failed or not (self._reading or self.unwritten):
                return None
            self._changed.clear()
            await self._changed.wait()
        answer = self._ready.popleft()
        self._bytes -= len(answer.data)
        extra = uplink_pb2.QueryResponse(window=self._window(), repeated_answer=answer.repeated)
        if answer.age_ms:
            extra.timings.age_ms = answer.age_ms
        # Two serialised messages one after the other are the two merged.
        return answer.data + extra.SerializeToString()

    def written(self) -> None:
        """Notes that the transport has taken what :meth:`next` returned last."""
        self.unwritten -= 1
        self._written.set()

    async def room(self) -> None:
        """Waits until another block may be read."""
        while (
            self._draining
            or self.unwritten >= self._windows * self._window()
            or self._bytes > _BYTES_MAX
        ):
            self._written.clear()
            await self._written.wait()
