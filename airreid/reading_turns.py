"""Turns of reads from gRPC, so that long messages hold up nobody else.

gRPC copies a message in the event loop, holding the interpreter, before its length can be known
there: one of 8 MiB for 10 ms and more, ten at once for as much as 0.1 s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Self

from airreid.wire import BLOCK_BYTES_MAX

LONG_BYTES = BLOCK_BYTES_MAX
"""Length above which a message is long."""
_BYTES_PER_SECOND = 64 << 20
_WATCHED_SECONDS = 1.0
"""Time after a long message for which reads take turns."""
_PATIENCE_SECONDS = 0.02
"""Time after which the next read begins although the message of the one before has not come."""
_PROVEN = 4
"""Short messages in a row after which a stream's reads wait for nobody."""


class ReadingTurns:
    """Turns of reads, for as long as long messages come; owned by one event loop.

    A read waits until the time of the long ones before it is over, and one is read at a time.
    While messages are short, nothing waits.
    """

    def __init__(
        self,
        bytes_per_second: int = _BYTES_PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``bytes_per_second``: of long messages, all together."""
        self._bytes_per_second = bytes_per_second
        self._clock = clock
        self._turn = asyncio.Lock()
        self._free_at = -_WATCHED_SECONDS

    @property
    def taken(self) -> bool:
        """Whether reads take turns now."""
        return self._clock() < self._free_at + _WATCHED_SECONDS

    async def read(self, messages: AsyncIterator[bytes]) -> bytes | None:
        """Reads the next message in its turn; None at the end of a stream."""
        if not self.taken:
            return await self.read_now(messages)
        await self._turn.acquire()
        patience: asyncio.TimerHandle | None = None
        is_ours = True

        def pass_on() -> None:
            nonlocal is_ours
            if is_ours:
                is_ours = False
                self._turn.release()

        try:
            await asyncio.sleep(max(0.0, self._free_at - self._clock()))
            patience = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, pass_on)
            return await self.read_now(messages)
        finally:
            if patience is not None:
                patience.cancel()
            pass_on()

    async def read_now(self, messages: AsyncIterator[bytes]) -> bytes | None:
        """Reads the next message at once; those after it wait if it is long."""
        message = await anext(messages, None)
        if message is not None and len(message) > LONG_BYTES:
            self.charge(len(message))
        return message

    def charge(self, length: int) -> None:
        """Has those who read next wait for the time of a long message."""
        begins = max(self._clock(), self._free_at)
        self._free_at = begins + length / self._bytes_per_second


class PacedStream:
    """Messages of a stream; its reads take turns until some short ones have come in a row."""

    def __init__(self, messages: AsyncIterator[bytes], turns: ReadingTurns) -> None:
        self._messages = aiter(messages)
        self._turns = turns
        self._short = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._short >= _PROVEN:  # without a coroutine more: this is every block's way
            message = await anext(self._messages)
            if len(message) > LONG_BYTES:
                self._short = 0
                self._turns.charge(len(message))
            return message
        turned = await self._turns.read(self._messages)
        if turned is None:
            raise StopAsyncIteration
        self._short = 0 if len(turned) > LONG_BYTES else self._short + 1
        return turned
