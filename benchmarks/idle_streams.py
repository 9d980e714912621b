"""Cameras that have sent a block once and keep their streams open, beside those that send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from grpc import aio

from airreid.errors import LinkError
from airreid.proxies import DIRECT
from airreid.v1 import common_pb2, uplink_pb2

QUERY = "/airreid.v1.UplinkService/Query"
"""Name of the method that streams blocks."""
CONNECTION = (("grpc.use_local_subchannel_pool", 1), DIRECT)
"""Options of a channel with a connection of its own."""
_AT_ONCE = 50
"""Streams that are being opened at once."""


@dataclass
class IdleStreams:
    """Streams that are open, and how many of them ended before they should have."""

    count: int
    broken: int = 0


@asynccontextmanager
async def idle_streams(
    target: str, block: uplink_pb2.QueryRequest, count: int
) -> AsyncIterator[IdleStreams]:
    """Opens streams, each on a connection of its own and with one answered block; yields them, and
    counts at the end those that are no longer open.

    Raises :class:`LinkError` if one is not answered.
    """
    idle, turns = IdleStreams(count), asyncio.Semaphore(_AT_ONCE)
    body = block.SerializeToString()
    async with AsyncExitStack() as held:

        async def opened(number: int) -> Any:
            async with turns:
                channel = aio.insecure_channel(target, options=CONNECTION)
                await held.enter_async_context(channel)
                query: aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(QUERY)
                call = query()
                name = common_pb2.BlockId(edge_id=f"idle-{number}", spool_id="idle", sequence=1)
                head = uplink_pb2.QueryRequest(id=name)
                # Two serialised messages one after the other are the two merged.
                await call.write(head.SerializeToString() + body)
                if not isinstance(await call.read(), bytes):
                    raise LinkError(f"idle-{number}: {await call.details()}")
                return call

        calls = await asyncio.gather(*[opened(number) for number in range(count)])
        try:
            yield idle
        finally:
            idle.broken = sum(call.done() for call in calls)
            for call in calls:
                call.cancel()
