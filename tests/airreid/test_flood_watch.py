"""Connections that flood a port of gRPC are ended; what means well goes on, however long."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc import aio

from airreid.serving import serve

from ..http2_frames import (
    CONTINUATION,
    DATA,
    HEADERS,
    PING,
    RESET,
    SETTINGS,
    call,
    frame,
    greeting,
    message,
    throw_away,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's kernel")
ECHO = "/test.Echo/Stream"
REFUSING = "/test.Echo/Refuse"
LONG = "/test.Echo/Long"
STALL = "/test.Echo/Stall"
HEALTH = "/grpc.health.v1.Health/Check"
MESSAGE_BYTES = 2 << 20
SECONDS = 60.0


async def _echo(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    async for sent in messages:
        yield b"%d" % len(sent)


async def _refuse(messages: AsyncIterator[bytes], context: Any) -> bytes:
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "come again")
    raise AssertionError


async def _long(messages: AsyncIterator[bytes], context: Any) -> bytes:
    return bytes(256 << 10)


async def _stall(messages: AsyncIterator[bytes], context: Any) -> bytes:
    time.sleep(1.0)  # a loop that a busy machine leaves waiting
    return b""


def _register(server: aio.Server) -> list[str]:
    handlers = {
        "Stream": grpc.stream_stream_rpc_method_handler(_echo),
        "Refuse": grpc.stream_unary_rpc_method_handler(_refuse),
        "Long": grpc.stream_unary_rpc_method_handler(_long),
        "Stall": grpc.stream_unary_rpc_method_handler(_stall),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    return ["test.Echo"]


@pytest.fixture
def port() -> Iterator[int]:
    """A server that answers each message of a stream with its length."""
    ports: list[int] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with serve("127.0.0.1:0", _register, message_bytes=MESSAGE_BYTES) as bound:
            ports.append(bound)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert ready.wait(SECONDS)
    yield ports[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def connect(port: int, source: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), SECONDS, source_address=(source, 0))


def flood(port: int, source: str, first: bytes, again: bytes) -> None:
    """Sends frames without end on one connection, until it is reset."""
    with contextlib.suppress(ConnectionError), connect(port, source) as flooding:
        threading.Thread(target=throw_away, args=(flooding,), daemon=True).start()
        flooding.sendall(greeting() + first)
        while True:
            flooding.sendall(again)


def is_let_in(port: int, source: str) -> bool:
    """Says whether a connection from an address comes about."""
    with socket.socket() as asking:
        asking.bind((source, 0))
        asking.settimeout(0.2)  # the kernel answers its neighbour at once, or never
        try:
            asking.connect(("127.0.0.1", port))
        except TimeoutError:
            return False
        return True


def lengths(channel: grpc.Channel, messages: list[bytes]) -> list[int]:
    return [int(answer) for answer in channel.stream_stream(ECHO)(iter(messages), timeout=SECONDS)]


FLOODS = {
    "settings": (b"", frame(SETTINGS) * 5000),
    "pings": (b"", frame(PING, payload=bytes(8)) * 5000),
    "headers without an end": (frame(HEADERS, 0, 1, b"\x83"), frame(CONTINUATION, 0, 1) * 5000),
    "calls that are reset": (
        b"",
        b"".join(
            call(HEALTH, 2 * number + 1) + frame(RESET, 0, 2 * number + 1, bytes(4))
            for number in range(1000)
        ),
    ),
    "crumbs of a message": (
        call(ECHO, 1) + frame(DATA, 0, 1, b"\0\xff\xff\xff\xff"),
        frame(DATA, 0, 1, b"x") * 5000,
    ),
    "a kind that nobody knows": (b"", frame(0x55) * 5000),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_connection_that_floods_is_ended_and_another_goes_on(port: int, kind: str) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert lengths(channel, [b"abc"]) == [3]
        flood(port, "127.0.0.2", *FLOODS[kind])
        assert lengths(channel, [b"abcd"]) == [4]


def test_a_network_that_floods_over_and_over_is_refused_a_while(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert lengths(channel, [b"abc"]) == [3]
        while is_let_in(port, "127.0.0.4"):
            flood(port, "127.0.0.4", *FLOODS["settings"])
        connect(port, "127.0.0.5").close()
        assert lengths(channel, [b"abc"]) == [3]
    messages = [record.message for record in caplog.records]
    assert messages.count("connection_flooded") >= 3
    assert "network_refused" in messages


def open_calls(port: int, source: str) -> bool:
    """Opens silent calls on a connection and ends it; says whether it came about."""
    with socket.socket() as opening:
        opening.bind((source, 0))
        opening.settimeout(0.2)
        try:
            opening.connect(("127.0.0.1", port))
        except TimeoutError:
            return False
        opening.settimeout(SECONDS)
        calls = b"".join(call(ECHO, stream) for stream in range(1, 400, 2))
        opening.sendall(greeting() + calls + frame(PING, payload=b"are over"))
        with contextlib.suppress(ConnectionError):
            heard = b" "
            while heard and b"are over" not in heard:
                heard = opening.recv(1 << 16)
    return True


def test_a_network_that_opens_and_ends_silent_calls_over_and_over_is_refused(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stream = channel.stream_stream(ECHO)(iter(asked.get, b"end"), timeout=SECONDS)
        asked.put(b"abc")
        assert next(stream) == b"3"
        while open_calls(port, "127.0.0.7"):
            pass
        connect(port, "127.0.0.5").close()
        asked.put(b"abcd")
        assert next(stream) == b"4"
        asked.put(b"end")
    refused = [record for record in caplog.records if record.message == "network_refused"]
    assert [record.__dict__["fields"]["reason"] for record in refused] == ["churn"]


def test_a_caller_who_comes_again_at_once_over_and_over_is_ended(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        refusing = channel.stream_unary(REFUSING)
        while "connection_flooded" not in [record.message for record in caplog.records]:
            with pytest.raises(grpc.RpcError):
                refusing(iter([b"x"]), timeout=SECONDS)
    apart = [("grpc.use_local_subchannel_pool", 1)]  # on another connection
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=apart) as other:
        assert lengths(other, [b"abc"]) == [3]


def test_a_connection_whose_answers_nobody_reads_is_ended(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
        connect(port, "127.0.0.6") as unread,
    ):
        calls = [call(LONG, stream) + message(stream, b"x") for stream in range(1, 81, 2)]
        unread.sendall(greeting(window=0) + b"".join(calls))
        with contextlib.suppress(ConnectionError):
            while unread.recv(1 << 20):
                pass
        answers = [channel.unary_unary(LONG)(b"x", timeout=SECONDS) for _ in range(60)]
        assert {len(answer) for answer in answers} == {256 << 10}
    assert "answers_unread" in [record.message for record in caplog.records]


def test_long_messages_many_short_ones_and_many_calls_are_no_flood(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        longest = bytes(MESSAGE_BYTES - 64)
        assert lengths(channel, [longest] * 10) == [len(longest)] * 10
        assert lengths(channel, [b""] * 5000) == [0] * 5000
        for _ in range(300):
            assert lengths(channel, [b"x"]) == [1]
        check = channel.unary_unary(HEALTH)
        for _ in range(300):
            check(b"", timeout=SECONDS)
    assert "connection_flooded" not in [record.message for record in caplog.records]


def test_calls_that_a_busy_server_has_not_begun_are_no_flood(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    longest = bytes(MESSAGE_BYTES - 64)
    with (
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
        ThreadPoolExecutor() as pool,
    ):
        assert lengths(channel, [longest] * 10) == [len(longest)] * 10  # its windows have grown
        for _ in range(2):
            stalled = channel.unary_unary(STALL).future(b"", timeout=SECONDS)
            answers = [pool.submit(lengths, channel, [longest]) for _ in range(4)]
            assert [answer.result() for answer in answers] == [[len(longest)]] * 4
            assert stalled.result() == b""
    assert "connection_flooded" not in [record.message for record in caplog.records]


def test_messages_that_break_off_are_no_flood(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """Calls that are refused with a message on its way, and those that their callers end."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as refused:
                channel.stream_unary(REFUSING)(iter([bytes(200 << 10)] * 3), timeout=SECONDS)
            assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        waiting = threading.Event()

        def unfinished() -> Iterator[bytes]:
            yield b"first"
            waiting.wait(SECONDS)

        stream = channel.stream_stream(ECHO)(unfinished())
        assert next(stream) == b"5"
        stream.cancel()
        waiting.set()
        assert lengths(channel, [b"abc"]) == [3]
    assert "connection_flooded" not in [record.message for record in caplog.records]
