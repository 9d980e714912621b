"""A link that goes silent without a word is known to be gone, at either end, within a minute."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
from grpc import aio

from airreid.client import (
    KEEPALIVE_ANSWER_SECONDS,
    KEEPALIVE_SECONDS,
    MESSAGE_OPTIONS,
    keepalive,
)
from airreid.serving import serve

ECHO = "test.Echo"


class Relay:
    """A wire between a client and a server, which can go silent: it holds everything back and
    closes nothing."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._silent = threading.Event()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=ends, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._silent.is_set():
                    threading.Event().wait()
                target.sendall(data)

    def go_silent(self) -> None:
        self._silent.set()

    def close(self) -> None:
        self._listener.close()
        for end in self._open:
            end.close()


class Echo:
    """A service whose streams give back what they get, and are counted."""

    def __init__(self) -> None:
        self.streams = 0
        self.ended = asyncio.Event()

    def register(self, server: aio.Server) -> list[str]:
        handler = grpc.stream_stream_rpc_method_handler(self._echo)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(ECHO, {"Call": handler}),)
        )
        return [ECHO]

    async def _echo(self, messages: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
        self.streams += 1
        try:
            async for message in messages:
                yield message
        finally:
            self.streams -= 1
            self.ended.set()


@pytest.fixture
def relays() -> Iterator[list[Relay]]:
    opened: list[Relay] = []
    yield opened
    for relay in opened:
        relay.close()


async def _silence(relays: list[Relay], seconds: float, timeout: float) -> None:
    echo = Echo()
    async with serve("127.0.0.1:0", echo.register, keepalive_seconds=seconds) as port:
        relay = Relay(port)
        relays.append(relay)
        options = [*keepalive(seconds, min(seconds, KEEPALIVE_ANSWER_SECONDS))]
        async with aio.insecure_channel(f"127.0.0.1:{relay.port}", options=options) as channel:
            call = channel.stream_stream(f"/{ECHO}/Call")()
            await call.write(b"hello")
            assert await call.read() == b"hello"
            relay.go_silent()
            async with asyncio.timeout(timeout):
                with pytest.raises(grpc.RpcError) as gone:
                    await call.read()
                assert gone.value.code() is grpc.StatusCode.UNAVAILABLE
                await echo.ended.wait()
            assert echo.streams == 0


async def test_both_ends_notice(relays: list[Relay]) -> None:
    await _silence(relays, 1.0, 50)


@pytest.mark.slow
async def test_both_ends_notice_within_a_minute_as_they_are_set(relays: list[Relay]) -> None:
    await _silence(relays, KEEPALIVE_SECONDS, 60)


def test_the_times_that_are_set_leave_room_within_a_minute() -> None:
    assert KEEPALIVE_SECONDS + KEEPALIVE_ANSWER_SECONDS <= 45
    assert dict(keepalive()).items() <= dict(MESSAGE_OPTIONS).items()
