"""Watch over the connections of a gRPC port: one that brings much and says nothing is ended.

gRPC's C library handles frames without a message (SETTINGS, PING, empty DATA, headers without an
end, calls that are reset) by itself, in few threads, of which each such connection keeps one busy:
cameras then wait for seconds. All that Python can see of it is that a connection has brought more
bytes than its messages explain.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

import grpc
from grpc import aio

from airreid import log
from airreid.port_sockets import BANS_MAX, Connection, Peer, PortSockets, network_of, peer_of

Context = aio.ServicerContext[Any, Any]
_FREE_BYTES = 96 << 10
"""Bytes that a connection may bring beyond what its messages explain; a stream that is refused has
64 KiB on its way already."""
_FREE_BYTES_OF_MANY, _FREE_BYTES_OF_ALL = 16 << 10, 512 << 10
"""The same where such bytes of all connections are more: many flood slowly, each of them."""
_FREE_BYTES_PER_SECOND = 8 << 10
"""Bytes of that kind that are forgotten in a second."""
_BYTES_OF_A_MESSAGE, _BYTES_OF_A_CALL, _OVERHEAD = 64, 1024, 1.25
"""Bytes that a message, its call and each byte of it explain: frames, headers, records of TLS."""
_MESSAGES_UNDER_WAY = 16
"""Longest messages that may be on their way on one connection at once."""
_BROKEN_OFF_PER_SECOND = 1 << 20
"""Bytes of messages that break off, forgiven in a second."""
_TOLD_TO_COME_AGAIN = grpc.StatusCode.RESOURCE_EXHAUSTED
"""Status of calls that are refused before their message, which is on its way, has been read."""
_LOOK_SECONDS, _LOOK_SHARE = 0.1, 50
"""Time between two looks, and at least so many times what a look takes."""
_STRIKES, _STRIKE_SECONDS, _BAN_SECONDS = 3, 5.0, 60.0
"""Connections of one network that are ended within a time, before it is refused for another."""


class Progress:
    """Messages of one connection so far. The event loop writes, the watch reads."""

    def __init__(self) -> None:
        self.explained = 0.0
        """Bytes that its messages explain."""
        self.under_way = 0
        """Longest messages of the calls that are read now, in bytes all together."""
        self.broken_off = 0
        """Bytes that calls which ended may have brought of a message that was never read."""
        self.calls = 0
        """Calls under way."""


class CountedCalls(aio.ServerInterceptor):
    """Interceptor that notes what the messages of each connection explain.

    It counts calls whose handlers take streams, as all do that are called before a message is read.
    """

    def __init__(self, message_bytes: int, limits: Mapping[str, int]) -> None:
        """``message_bytes``: longest message of the port; ``limits``: those of services with a
        shorter one, by full name."""
        self._message_bytes = message_bytes
        self._limits = limits
        self._progress: dict[Peer, Progress] = {}
        self._gone: set[Peer] = set()
        self._lock = threading.Lock()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Returns the handler of a call, counted."""
        handler = await continuation(details)
        if handler is None or not handler.request_streaming:
            return handler
        service = details.method.strip("/").partition("/")[0]
        longest = self._limits.get(service, self._message_bytes)
        parse = handler.request_deserializer or bytes
        if handler.response_streaming:

            async def stream(messages: AsyncIterator[bytes], context: Context) -> Any:
                with self._call(context, longest) as progress:
                    counted = _counted(messages, progress, longest, parse)
                    answers = handler.stream_stream(counted, context)
                    if hasattr(answers, "__aiter__"):
                        async for response in answers:
                            yield response
                    else:  # one that writes to its context
                        await answers

            return grpc.stream_stream_rpc_method_handler(
                stream, response_serializer=handler.response_serializer
            )

        async def single(messages: AsyncIterator[bytes], context: Context) -> Any:
            with self._call(context, longest) as progress:
                return await handler.stream_unary(
                    _counted(messages, progress, longest, parse), context
                )

        return grpc.stream_unary_rpc_method_handler(
            single, response_serializer=handler.response_serializer
        )

    def of(self, peer: Peer) -> Progress | None:
        """Returns what is known of a connection."""
        return self._progress.get(peer)

    def keep(self, peers: Set[Peer]) -> None:
        """Forgets connections that are gone, as they were the last time this was called."""
        with self._lock:
            gone = {
                peer for peer in self._progress.keys() - peers if not self._progress[peer].calls
            }
            for peer in gone & self._gone:
                del self._progress[peer]
            self._gone = gone

    @contextlib.contextmanager
    def _call(self, context: Context, longest: int) -> Iterator[Progress]:
        peer = peer_of(context.peer())
        with self._lock:
            progress = Progress() if peer is None else self._progress.setdefault(peer, Progress())
            progress.calls += 1
        try:
            yield progress
        finally:
            progress.calls -= 1
            code: object = context.code()  # a number, whatever its type says
            if code in (_TOLD_TO_COME_AGAIN, _TOLD_TO_COME_AGAIN.value[0]):
                progress.broken_off += longest


async def _counted(
    messages: AsyncIterator[bytes],
    progress: Progress,
    longest: int,
    parse: Callable[[bytes], Any],
) -> AsyncIterator[Any]:
    """Yields the messages of a call, parsed, and notes what they explain.

    Nothing is noted before the first is asked for: its caller has been let in then.
    """
    progress.under_way += longest
    explained, awaited = float(_BYTES_OF_A_CALL), True
    try:
        async for message in messages:
            progress.explained += explained + _BYTES_OF_A_MESSAGE + _OVERHEAD * len(message)
            explained, awaited = 0.0, False
            yield parse(message)
            awaited = True
        awaited = False
    finally:
        progress.under_way -= longest
        if awaited:
            progress.broken_off += longest


@dataclass
class _Account:
    """Account of one connection in the watch."""

    connection: Connection
    forgiven: float
    forgivable: float
    looked_at: float


class FloodWatch:
    """Ends connections of a port that bring more than their messages explain; a context manager.

    A network of which several were ended is refused for a while; its other connections go on.
    """

    def __init__(
        self, port: int, calls: CountedCalls, message_bytes: int, sockets: PortSockets | None = None
    ) -> None:
        self._port = port
        self._calls = calls
        self._message_bytes = message_bytes
        self._sockets = sockets or PortSockets(port)
        self._accounts: dict[int, _Account] = {}
        """Accounts by the inode of their connection."""
        self._ended: dict[str, deque[float]] = {}
        """Times at which connections of a network were ended."""
        self._banned: dict[str, float] = {}
        """Times until which networks are refused."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="flood watch", daemon=True)

    def __enter__(self) -> FloodWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        pause = _LOOK_SECONDS
        while not self._stop.wait(pause):
            begun = time.thread_time()
            self.look(time.monotonic())
            pause = max(_LOOK_SECONDS, _LOOK_SHARE * (time.thread_time() - begun))

    def look(self, now: float) -> None:
        """Looks at every connection once; ends those that flood."""
        connections = self._sockets.connections()
        accounts = {connection.inode: self._account(connection, now) for connection in connections}
        self._calls.keep({connection.peer for connection in connections})
        self._accounts = accounts
        free, excess = _FREE_BYTES, [(self._excess(each, now), each) for each in accounts.values()]
        if sum(count for count, _ in excess if count > _FREE_BYTES_OF_MANY) > _FREE_BYTES_OF_ALL:
            free = _FREE_BYTES_OF_MANY
        for count, account in excess:
            if count > free:
                self._sockets.end(account.connection)
                self._strike(account.connection.peer[0], now)
        if any(until <= now for until in self._banned.values()):
            self._banned = {net: until for net, until in self._banned.items() if until > now}
            self._sockets.refuse(self._banned)

    def _account(self, connection: Connection, now: float) -> _Account:
        known = self._accounts.get(connection.inode)
        return known or _Account(connection, 0.0, float(self._message_bytes), now)

    def _excess(self, account: _Account, now: float) -> float:
        """Returns the bytes that a connection has brought for nothing that is known of."""
        progress = self._calls.of(account.connection.peer)
        broken_off = under_way = 0
        unexplained = self._sockets.received(account.connection) - account.forgiven
        if progress is not None:
            broken_off, progress.broken_off = progress.broken_off, 0
            unexplained -= progress.explained
            under_way = min(progress.under_way, _MESSAGES_UNDER_WAY * self._message_bytes)
        seconds, account.looked_at = now - account.looked_at, now
        account.forgivable = min(
            account.forgivable + _BROKEN_OFF_PER_SECOND * seconds, self._message_bytes
        )
        of_broken = min(broken_off, account.forgivable, max(0.0, unexplained))
        account.forgivable -= of_broken
        forgotten = min(_FREE_BYTES_PER_SECOND * seconds, max(0.0, unexplained - of_broken))
        account.forgiven += of_broken + forgotten
        return unexplained - of_broken - forgotten - under_way

    def _strike(self, address: str, now: float) -> None:
        network = network_of(address)
        log.warning("connection_flooded", address=address, port=self._port)
        times = self._ended.setdefault(network, deque(maxlen=_STRIKES))
        times.append(now)
        if len(times) == _STRIKES and now - times[0] < _STRIKE_SECONDS:
            log.warning("network_refused", network=network, port=self._port, seconds=_BAN_SECONDS)
            self._banned.pop(network, None)
            self._banned[network] = now + _BAN_SECONDS
            self._sockets.refuse(self._banned)
        if len(self._ended) > BANS_MAX:
            del self._ended[next(iter(self._ended))]
