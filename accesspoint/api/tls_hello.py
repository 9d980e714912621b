"""First words of a TLS connection, awaited before anything is made for it.

What asyncio makes for a TLS connection takes 300 KiB and more, and a handshake some milliseconds
of a processor. A connection that says nothing, or not all of its first words, costs its socket.
"""

from __future__ import annotations

import asyncio
import socket
import time
from asyncio import sslproto

_HEAD_BYTES = 5
"""Length of a record's head (RFC 8446, section 5.1): type, version, length."""
_HANDSHAKE = 22
"""Type of a record of the handshake."""
_RECORD_BYTES = 1 << 14
"""Longest content of a record."""
_BUFFER_BYTES = 32 << 10
"""Buffer of a TLS connection; asyncio's own has 256 KiB."""
_PAUSE_SECONDS = 0.01
"""Least time from one handshake to the next, so that they leave the processor to others."""


def keep_buffers_small() -> None:
    """Has asyncio make small buffers for TLS connections: hundreds may be open."""
    sslproto.SSLProtocol.max_size = _BUFFER_BYTES


async def hello_came(connection: socket.socket) -> bool:
    """Waits for the first record of a connection, which is left unread.

    Returns whether it came in whole and is one of a handshake. Raises :class:`OSError` where the
    connection breaks.
    """
    wanted, received = _HEAD_BYTES, 0
    while True:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wanted)
        await _readable(connection)
        begun = connection.recv(wanted, socket.MSG_PEEK)
        if len(begun) == received or begun[0] != _HANDSHAKE:
            return False
        received = len(begun)
        if received < _HEAD_BYTES:
            continue
        length = int.from_bytes(begun[3:_HEAD_BYTES], "big")
        if not 0 < length <= _RECORD_BYTES:
            return False
        wanted = _HEAD_BYTES + length
        if received == wanted:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            return True


async def _readable(connection: socket.socket) -> None:
    loop, descriptor = asyncio.get_running_loop(), connection.fileno()
    ready: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        loop.remove_reader(descriptor)
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, tell)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


class HandshakeTurns:
    """Turns of handshakes, in the order in which their first words came."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._free_at = 0.0

    async def take(self) -> None:
        """Waits until a handshake may begin."""
        async with self._turn:
            await asyncio.sleep(max(0.0, self._free_at - time.monotonic()))
            self._free_at = time.monotonic() + _PAUSE_SECONDS
