"""Connections that say nothing, half a sentence, or never read: all of them end."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import uvicorn
from anyio import to_thread

from accesspoint.api.guard import Message, Receive, Scope, Send
from accesspoint.api.http_server import ConnectionLimits, Connections, HttpServer

LIMITS = ConnectionLimits(total=8, per_address=8, head_seconds=3600.0, unread_seconds=3600.0)
ASK = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Application:
    """An application that answers with so many bytes."""

    def __init__(self, size: int) -> None:
        self.size = size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = str(self.size).encode()
        start: Message = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": [(b"content-length", length)]})
        for _ in range(self.size // 65_536):
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
        await send({"type": "http.response.body", "body": bytes(self.size % 65_536)})


@contextlib.contextmanager
def served(
    limits: ConnectionLimits, size: int = 2, application: object = None
) -> Iterator[tuple[str, int]]:
    config = uvicorn.Config(
        application or Application(size),  # type: ignore[arg-type]
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    config.load()
    listener = socket.create_server(("127.0.0.1", 0))
    server = HttpServer(config, listener, limits)
    server.start()
    try:
        yield listener.getsockname()
    finally:
        server.stop()


def connect(address: tuple[str, int]) -> socket.socket:
    client = socket.create_connection(address, 60)
    client.settimeout(60)
    return client


def ended(client: socket.socket) -> bool:
    """Whether the other end has closed the connection; waits for that."""
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_silent_connections_make_room() -> None:
    with served(LIMITS) as address:
        silent = [connect(address) for _ in range(3 * LIMITS.total)]
        silent[-1].sendall(ASK)
        assert silent[-1].recv(65_536).startswith(b"HTTP/1.1 200")
        for client in silent[: 2 * LIMITS.total]:  # the oldest went
            assert ended(client)
        for client in silent:
            client.close()


@pytest.mark.parametrize("words", [b"", b"GET / HT", ASK[:-2], ASK + b"GET / HTTP/1.1\r\nHos"])
def test_headers_have_a_time(words: bytes) -> None:
    limits = replace(LIMITS, head_seconds=0.05)
    with (
        served(limits) as address,
        connect(address) as client,
        contextlib.suppress(ConnectionError),
    ):
        client.sendall(words)
        while client.recv(65_536):
            pass


def test_an_answer_that_nobody_reads_ends_its_connection() -> None:
    limits = replace(LIMITS, unread_seconds=0.05)
    with served(limits, 64 << 20) as address, connect(address) as client:
        client.sendall(ASK)
        poll = select.poll()
        poll.register(client, 0)  # nothing but the end of the connection
        assert poll.poll(60_000)


CHUNKED = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class Reader:
    """An application that reads a body and answers with its length."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0
        message: Message = {"more_body": True}
        while message["more_body"]:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.mark.parametrize("cut", [len(CHUNKED), len(CHUNKED) - 2, 5])
def test_a_body_in_crumbs_ends_its_connection(cut: int) -> None:
    crumbs = CHUNKED + b"1\r\n \r\n" * 10_000
    with served(LIMITS, application=Reader()) as address, connect(address) as client:
        client.sendall(crumbs[:cut])
        with contextlib.suppress(ConnectionError):
            client.sendall(crumbs[cut:])
        assert ended(client)


def test_a_body_in_chunks_is_read() -> None:
    chunks = b"".join(b"400\r\n" + bytes(1024) + b"\r\n" for _ in range(8000)) + b"0\r\n\r\n"
    with served(LIMITS, application=Reader()) as address, connect(address) as client:
        for _ in range(2):  # one connection, two requests
            client.sendall(CHUNKED + chunks)
            answer = b""
            while b"8192000" not in answer:
                part = client.recv(65_536)
                assert part
                answer += part


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers nothing."""
    await asyncio.sleep(3600)


@pytest.mark.parametrize(
    "first",
    [ASK, ASK[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", CHUNKED + b"0\r\n\r\n"],
)
def test_requests_far_ahead_of_their_answers_end_the_connection(first: bytes) -> None:
    with served(LIMITS, application=never) as address, connect(address) as client:
        client.settimeout(5)
        with contextlib.suppress(ConnectionError):
            client.sendall(first + ASK * 4000)
        assert ended(client)


def test_requests_some_way_ahead_are_answered() -> None:
    with served(LIMITS) as address, connect(address) as client:
        client.sendall(ASK * 1000)
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 1000:
            part = client.recv(65_536)
            assert part
            answers += part


def test_work_beside_the_event_loop_takes_few_threads() -> None:
    busy: list[int] = []
    most = 0

    def work() -> None:
        nonlocal most
        busy.append(0)
        most = max(most, len(busy))
        time.sleep(0.05)
        busy.pop()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await to_thread.run_sync(work)
        await Application(2)(scope, receive, send)

    with served(LIMITS, application=application) as address, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(address)) for _ in range(8)]
        for client in clients:
            client.sendall(ASK)
        for client in clients:
            assert client.recv(65_536).startswith(b"HTTP/1.1 200")
    assert 0 < most <= 2


class Peer:
    def __init__(self) -> None:
        self.ended = False

    def end(self) -> None:
        self.ended = True


def test_one_address_takes_no_room_of_others() -> None:
    connections = Connections(replace(LIMITS, total=4, per_address=2))
    peers = [Peer() for _ in range(4)]
    for peer, address in zip(peers, "aabb", strict=True):
        assert connections.admit(address)
        connections.add(peer, address)
    connections.set_busy(peers[0], True)
    assert connections.admit("a")
    assert [peer.ended for peer in peers] == [False, True, False, False]
    connections.add(late := Peer(), "a")
    connections.set_busy(late, True)
    assert not connections.admit("a"), "both are at work"
    assert connections.admit("c"), "an idle one of all makes room"
    assert [peer.ended for peer in peers] == [False, True, True, False]
    connections.set_busy(late, False)
    for peer in (*peers, late):
        connections.remove(peer)
    assert len(connections) == 0


def test_headers_of_many_lines_end_their_connection() -> None:
    with served(LIMITS) as address, connect(address) as client:
        for lines in (100, 5):  # one connection, two requests
            client.sendall(ASK[:-2] + b"a: b\r\n" * lines + b"\r\n")
            answer = b""
            while not answer.endswith(bytes(2)):
                answer += client.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 200")
        with contextlib.suppress(ConnectionError):
            client.sendall(ASK[:-2] + b"a: b\r\n" * 2_000 + b"\r\n")
        assert ended(client)


@pytest.mark.parametrize(
    "words", [b"nonsense\r\n\r\n", b"GET /" + b"x" * 20_000, ASK[:-2] + b"a:\r\n" * 15_000]
)
def test_an_address_of_many_refused_requests_is_refused(words: bytes) -> None:
    limits = replace(LIMITS, refused=5, refused_per_second=0.0)
    with served(limits) as address:
        for _ in range(5):
            with connect(address) as client, contextlib.suppress(ConnectionError):
                client.sendall(words)
                while client.recv(65_536):
                    pass
        with connect(address) as client:
            with contextlib.suppress(ConnectionError):
                client.sendall(ASK)
            assert ended(client)


def test_refused_requests_are_forgiven_with_time() -> None:
    now = 0.0
    limits = replace(LIMITS, refused=2, refused_per_second=0.5)
    connections = Connections(limits, lambda: now)
    for address in "aab":
        connections.note_refused(address)
    assert [connections.admit(address) for address in "abc"] == [False, True, True]
    now = 2.0
    assert connections.admit("a")
