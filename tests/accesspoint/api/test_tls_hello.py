"""First words of a TLS connection: nothing is made before they are there in whole."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from accesspoint.api import tls_hello
from accesspoint.api.tls_hello import HandshakeTurns, hello_came


@contextlib.contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's end of a connection and the server's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server, _ = listener.accept()
    server.setblocking(False)
    with client, server:
        yield client, server


@pytest.fixture(scope="module")
def hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="a")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_a_whole_hello_is_left_to_be_read(hello: bytes) -> None:
    async def run() -> None:
        with connected() as (client, server):
            client.sendall(hello + b"more")
            assert await hello_came(server)
            assert server.recv(len(hello)) == hello
            await asyncio.get_running_loop().sock_recv(server, 1)  # a single byte is told of again

    asyncio.run(run())


@pytest.mark.parametrize("cut", [1, 4, 5, 6, -1])
def test_a_hello_in_two_parts_is_awaited(hello: bytes, cut: int) -> None:
    async def run() -> None:
        with connected() as (client, server):
            client.sendall(hello[:cut])
            came = asyncio.create_task(hello_came(server))
            await asyncio.sleep(0.02)
            assert not came.done()
            client.sendall(hello[cut:])
            assert await came

    asyncio.run(run())


@pytest.mark.parametrize("cut", [0, 3, 5, 40])
def test_a_hello_that_breaks_off_ends(hello: bytes, cut: int) -> None:
    async def run() -> None:
        with connected() as (client, server):
            client.sendall(hello[:cut])
            came = asyncio.create_task(hello_came(server))
            await asyncio.sleep(0.02)
            assert not came.done()
            client.shutdown(socket.SHUT_WR)
            assert not await came

    asyncio.run(run())


@pytest.mark.parametrize(
    "words",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x17\x03\x01\0\1a", b"\x16\x03\x01\0\0", b"\x16\x03\x01\xff\xff"],
)
def test_other_words_are_no_hello(words: bytes) -> None:
    async def run() -> None:
        with connected() as (client, server):
            client.sendall(words)
            assert not await hello_came(server)

    asyncio.run(run())


def test_handshakes_take_turns() -> None:
    async def run() -> list[int]:
        turns, begun = HandshakeTurns(), list[int]()

        async def begin(number: int) -> None:
            await turns.take()
            begun.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(begin(number))
        return begun

    started = time.monotonic()
    assert asyncio.run(run()) == [0, 1, 2, 3]
    assert time.monotonic() - started >= 3 * tls_hello._PAUSE_SECONDS
