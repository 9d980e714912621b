"""Time that a link takes: blocks go over the air one after another, and a word comes back later."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Annotated

from pydantic import Field

from airreid.channels.models import USES_MAX
from airreid.flags import Flag, Settings
from airreid.payload import link_of, symbols_of
from airreid.v1 import uplink_pb2

_LINKS_MAX = 4096
"""Links whose air is remembered to be busy, those that sent last."""
_ON_THE_WAY_MAX = 1024
"""Answers of a stream that are on their way back at most: as many as a window."""


class DelaySettings(Settings):
    """How slow links are; noise is the same whatever they are."""

    round_trip_ms: Annotated[float, Field(ge=0, le=60_000), Flag()] = 0.0
    """Round trip of every link in ms: answers come so much later.

    From a block's last symbol to the answer, besides what the access point takes.
    """
    symbol_rate: Annotated[float | None, Field(gt=0, le=1e12), Flag()] = None
    """Real channel uses per second of every link: its blocks take their time.

    One after another. None sends blocks at once.
    """


class Air:
    """Air of every link, which carries one block at a time; owned by one event loop."""

    def __init__(self, symbol_rate: float) -> None:
        """``symbol_rate``: real channel uses per second."""
        self._symbol_rate = symbol_rate
        self._free_at: OrderedDict[str, float] = OrderedDict()

    async def carry(self, request: uplink_pb2.QueryRequest) -> None:
        """Waits until the last symbol of a request's block has gone out."""
        uses = _uses(request)
        if not uses:
            return
        loop, link = asyncio.get_running_loop(), request.id.edge_id
        begins = max(loop.time(), self._free_at.pop(link, 0.0))
        self._free_at[link] = begins + uses / self._symbol_rate
        if len(self._free_at) > _LINKS_MAX:
            self._free_at.popitem(last=False)
        await asyncio.sleep(self._free_at[link] - loop.time())


def _uses(request: uplink_pb2.QueryRequest) -> int:
    if request.settled_only:
        return 0
    if link_of(request) == "ideal":
        return min(request.ideal.uses, USES_MAX)
    block = symbols_of(request)
    return 0 if block is None else len(block.symbols) // 4


async def later(messages: AsyncIterable[bytes], seconds: float) -> AsyncGenerator[bytes, None]:
    """Yields messages so many seconds after they came; ends, or raises, as they do."""
    loop = asyncio.get_running_loop()
    on_the_way: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    room = asyncio.Semaphore(_ON_THE_WAY_MAX)

    async def read() -> None:
        try:
            async for message in messages:
                await room.acquire()
                on_the_way.put_nowait((loop.time() + seconds, message))
        finally:
            on_the_way.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (item := await on_the_way.get()) is not None:
            due, message = item
            await asyncio.sleep(due - loop.time())
            room.release()
            yield message
        await reader
    finally:
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await reader
