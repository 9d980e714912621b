"""A peer that was read quickly has no more on its way, once it is not, than one that never was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import aio

from airreid.serving import serve

MESSAGE = bytes(32 << 10)
READ = 1000


async def test_what_waits_unread_does_not_grow_with_the_speed_of_reading() -> None:
    never = asyncio.Event()

    async def take(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        for _ in range(READ):
            await anext(messages)
        await never.wait()
        yield b""

    def register(server: aio.Server) -> list[str]:
        handler: Any = grpc.stream_stream_rpc_method_handler(take)
        handlers = grpc.method_handlers_generic_handler("test.Takes", {"Take": handler})
        server.add_generic_rpc_handlers((handlers,))
        return ["test.Takes"]

    sent = 0
    async with serve("127.0.0.1:0", register) as port:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.stream_stream("/test.Takes/Take")()
            try:
                while True:
                    async with asyncio.timeout(0.5):
                        await call.write(MESSAGE)
                    sent += 1
            except TimeoutError:
                pass
            call.cancel()
        never.set()
    assert sent >= READ
    assert (sent - READ) * len(MESSAGE) < 1 << 20
