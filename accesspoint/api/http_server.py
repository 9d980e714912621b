"""HTTP server in a thread and an event loop of its own: what HTTP costs, cameras do not wait for.

uvicorn speaks HTTP. Connections are accepted here, since uvicorn bounds neither those that say
nothing nor those that never read.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import h11
import uvicorn
from anyio import to_thread
from uvicorn.protocols.http.h11_impl import H11Protocol

from accesspoint.api.tls_hello import HandshakeTurns, hello_came, keep_buffers_small
from airreid import log
from airreid.decaying_counts import DecayingCounts

_BACKLOG = 256
_NO_LINGER = struct.pack("ii", 1, 0)
_HEAD_PIECE = 2048
"""Bytes that are taken in at once while headers are awaited."""
_HEAD_LINES = 128
"""Lines of headers that are waited for, at most; some more may come in the last piece."""
_AHEAD_BYTES = 64 << 10
"""Bytes of further requests before the one under way has its answer: they wait in memory."""
_ADDRESSES = 4096
"""Addresses whose refused requests are counted, those of the latest."""
_LINES, _LINE_BYTES = 4000, 64
"""Line ends of a body in chunks: so many, and one more for so many bytes."""
_THREADS = 2
"""Threads for what FastAPI does beside the event loop, files and metrics; other work has pools."""
_PAUSE_SECONDS = 0.2
"""Pause after a connection could not be accepted for want of a descriptor."""


@dataclass(frozen=True)
class ConnectionLimits:
    """Bounds of connections."""

    total: int = 512
    per_address: int = 256
    head_seconds: float = 10.0
    """Time for a TLS handshake, and for the headers of a request, from its first byte or the
    connection's beginning."""
    unread_seconds: float = 15.0
    """Time for which a peer may leave an answer unread."""
    refused: int = 64
    """Requests of an address that are no HTTP, or too long, before its connections are refused."""
    refused_per_second: float = 8.0
    """Further such requests that it may send."""


class Connections:
    """Connections that are open, owned by one event loop.

    Where a further one finds no room, the one that has waited for longest without a request
    under way is ended for it; where all are at work, the new one is.
    """

    def __init__(
        self, limits: ConnectionLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``clock`` gives seconds that only grow."""
        self.limits = limits
        self._clock = clock
        self._idle: dict[Any, str] = {}
        """Connections without a request, and their addresses, those that waited longest first."""
        self._busy: dict[Any, str] = {}
        self._addresses: Counter[str] = Counter()
        self._refused = DecayingCounts(limits.refused_per_second, names=_ADDRESSES)
        """Refused requests by address."""

    def __len__(self) -> int:
        return len(self._idle) + len(self._busy)

    def admit(self, address: str) -> bool:
        """Returns whether a new connection of an address may stay; makes room for it."""
        if self._refused.of(address, self._clock()) >= self.limits.refused:
            return False
        if self._addresses[address] >= self.limits.per_address:
            return self._end_oldest(address)
        return len(self) < self.limits.total or self._end_oldest(None)

    def note_refused(self, address: str) -> None:
        """Notes a request that is no HTTP, or too long: each costs as much as many others."""
        self._refused.add(address, 1.0, self._clock())

    def add(self, connection: Any, address: str) -> None:
        """Counts a connection; it has ``end()``."""
        self._idle[connection] = address
        self._addresses[address] += 1

    def set_busy(self, connection: Any, busy: bool) -> None:
        """Notes that a connection's request begins or ends."""
        source, target = (self._idle, self._busy) if busy else (self._busy, self._idle)
        if connection in source:
            target[connection] = source.pop(connection)

    def remove(self, connection: Any) -> None:
        """Counts a connection off, if it is there."""
        address = self._idle.pop(connection, None) or self._busy.pop(connection, None)
        if address is not None:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]

    def _end_oldest(self, address: str | None) -> bool:
        for connection, its_address in self._idle.items():
            if address in (None, its_address):
                self.remove(connection)
                connection.end()
                return True
        return False


class _Handshake:
    """A connection that is not yet uvicorn's."""

    def __init__(self, accepted: socket.socket) -> None:
        self.accepted = accepted
        self.handed_over = False
        """Whether a transport owns the socket, and closes it."""
        self.task: asyncio.Task[None] | None = None

    def end(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def ended(self, _: asyncio.Task[None]) -> None:
        if not self.handed_over:
            self.accepted.close()


class _Protocol(H11Protocol):
    """uvicorn's connection, with times for headers and for answers to be read."""

    def __init__(self, connections: Connections, address: str, **named: Any) -> None:
        super().__init__(**named)
        self._counted, self._address = connections, address
        self._head: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._counted_request: object = None
        self._chunked, self._lines, self._bytes = False, 0, 0
        self._head_lines = 0
        """Lines of the headers that are awaited."""

    def end(self) -> None:
        """Ends the connection at once; what the peer has not read is thrown away."""
        if self.transport is not None:
            endpoint = self.transport.get_extra_info("socket")
            if endpoint is not None:
                with contextlib.suppress(OSError):
                    endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._counted.add(self, self._address)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Takes in what has come; headers piece by piece, so that it is known what follows them."""
        while data and self.transport is not None and not self.transport.is_closing():
            if not self._busy:
                piece, data = data[:_HEAD_PIECE], data[_HEAD_PIECE:]
            else:
                piece, data = data, b""
                if not self._in_good_chunks(piece):
                    self.end()
                    return
            super().data_received(piece)
            self._follow()
            if self._busy and self._too_far_ahead():
                self.end()
                return
            if not self._busy:
                self._head_lines += piece.count(b"\n")
                if self._head_lines > _HEAD_LINES:
                    self._counted.note_refused(self._address)
                    self.end()
                    return

    def send_400_response(self, msg: str) -> None:
        self._counted.note_refused(self._address)
        super().send_400_response(msg)

    @property
    def _busy(self) -> bool:
        """Whether a request is under way."""
        return self.cycle is not None and not self.cycle.response_complete

    def _in_good_chunks(self, piece: bytes) -> bool:
        """Returns whether a request's body has no more chunks than one who means well sends: each
        costs as much as a thousand bytes."""
        if self._counted_request is not self.cycle:
            self._counted_request, self._lines, self._bytes = self.cycle, 0, 0
            self._chunked = any(name == b"transfer-encoding" for name, _ in self.headers)
        if self._chunked:
            self._lines += piece.count(b"\r\n")
            self._bytes += len(piece)
        return self._lines <= _LINES + self._bytes / _LINE_BYTES

    def _too_far_ahead(self) -> bool:
        """Returns whether a peer sends on and on without waiting for its answers."""
        whole = self.conn.their_state is not h11.SEND_BODY
        return whole and len(self.conn.trailing_data[0]) > _AHEAD_BYTES

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._follow(idle=True)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            seconds = self._counted.limits.unread_seconds
            self._unread = self.loop.call_later(seconds, self.end)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_unread()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head()
        self._stop_unread()
        self._counted.remove(self)
        super().connection_lost(exc)

    def _follow(self, idle: bool = False) -> None:
        """Starts or stops the time for headers; ``idle``: uvicorn's own time for more runs."""
        busy = self._busy
        self._counted.set_busy(self, busy)
        if busy or idle:
            self._stop_head()
            self._head_lines = 0
        elif self._head is None:
            self._await_head()

    def _await_head(self) -> None:
        self._head = self.loop.call_later(self._counted.limits.head_seconds, self.end)

    def _stop_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own, whose connections are counted."""

    def __init__(self, config: uvicorn.Config, limits: ConnectionLimits) -> None:
        super().__init__(config)
        self.counted = Connections(limits)
        self._handshake_turns = HandshakeTurns()
        self.servers: list[Any] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        to_thread.current_default_thread_limiter().total_tokens = _THREADS
        for listener in sockets or []:
            listener.setblocking(False)
            listener.listen(_BACKLOG)
            self._start(self._accept(listener))
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._tasks:
            task.cancel()
        await super().shutdown(sockets)

    def _start(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listener)
            except OSError as error:  # no descriptor: those that are open go on
                log.warning("connection_not_accepted", reason=error.strerror)
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if not self.counted.admit(address[0]):
                accepted.close()
                continue
            handshake = _Handshake(accepted)
            self.counted.add(handshake, address[0])
            handshake.task = self._start(self._connect(handshake, address[0]))
            handshake.task.add_done_callback(handshake.ended)

    async def _connect(self, handshake: _Handshake, address: str) -> None:
        def protocol() -> asyncio.Protocol:
            self.counted.remove(handshake)
            return _Protocol(
                self.counted,
                address,
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
            )

        loop, tls = asyncio.get_running_loop(), self.config.ssl
        seconds = self.counted.limits.head_seconds
        times = {"ssl_handshake_timeout": seconds, "ssl_shutdown_timeout": seconds} if tls else {}
        try:
            if tls is not None:
                async with asyncio.timeout(seconds):
                    if not await hello_came(handshake.accepted):
                        return
                    await self._handshake_turns.take()
            handshake.handed_over = True
            await loop.connect_accepted_socket(protocol, handshake.accepted, ssl=tls, **times)
        except (OSError, ssl.SSLError):  # TimeoutError is an OSError
            pass
        finally:
            self.counted.remove(handshake)


class HttpServer:
    """An HTTP server in its thread; a context manager."""

    def __init__(
        self, config: uvicorn.Config, listener: socket.socket, limits: ConnectionLimits
    ) -> None:
        """``config`` must be loaded."""
        keep_buffers_small()
        self._server = _Server(config, limits)
        self._listener = listener
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._server.serve(sockets=[self._listener]))
        except Exception as error:  # cameras are served all the same
            log.warning("http_failed", error=repr(error))

    def start(self) -> None:
        """Starts to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the server; waits for requests that are under way, some seconds."""
        self._server.should_exit = True
        self._thread.join()

    def call(self, action: Callable[[], object]) -> None:
        """Has something called in the server's event loop, if that has not ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(action)
