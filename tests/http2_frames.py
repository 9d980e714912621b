"""Frames of HTTP/2 as gRPC's own clients never send them."""

from __future__ import annotations

import contextlib
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Makes a frame."""
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes([kind, flags])
        + struct.pack(">I", stream)
        + payload
    )


def greeting(window: int | None = None) -> bytes:
    """Makes the beginning of a connection; ``window``: bytes that are taken of each answer."""
    settings = b"" if window is None else struct.pack(">HI", 4, window)
    return PREFACE + frame(SETTINGS, payload=settings)


def open_window() -> bytes:
    """Makes a frame by which a connection takes answers without end."""
    return frame(WINDOW_UPDATE, payload=struct.pack(">I", 1 << 30))


def field(name: bytes, value: bytes) -> bytes:
    """Makes a header that no table holds."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def call(path: str, stream: int) -> bytes:
    """Makes the headers of a call."""
    block = b"\x83\x86\x04" + bytes([len(path)]) + path.encode() + b"\x41\x01a"
    block += field(b"te", b"trailers") + field(b"content-type", b"application/grpc")
    return frame(HEADERS, END_HEADERS, stream, block)


def message(stream: int, data: bytes, end: bool = True) -> bytes:
    """Makes a message of a call."""
    whole = struct.pack(">BI", 0, len(data)) + data
    return frame(DATA, END_STREAM if end else 0, stream, whole)


def throw_away(connection: socket.socket) -> None:
    """Reads what a connection brings until it ends."""
    with contextlib.suppress(OSError):
        while connection.recv(1 << 20):
            pass
