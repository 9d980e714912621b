"""Watch over the connections of a gRPC port: one that brings much and says nothing is ended.

gRPC's C library handles frames without a message (SETTINGS, PING, empty DATA, headers without an
end, calls that are reset) by itself, in few threads, of which each such connection keeps one busy:
cameras then wait for seconds. All that Python can see of it is that a connection has brought more
bytes than its messages explain.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Set
from typing import Any

import grpc
from grpc import aio

from airreid import log
from airreid.port_sockets import BANS_MAX, Connection, Peer, PortSockets, network_of, peer_of
from airreid.unread_answers import UnreadAnswers

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
_COME_AGAIN = grpc.StatusCode.RESOURCE_EXHAUSTED
"""Status of calls that are refused before their message, which is on its way, has been read."""
_REFUSALS = (_COME_AGAIN, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_REFUSED, _REFUSED_PER_SECOND = 128.0, 10.0
"""Calls of a connection that may be refused, and how many more of them each second."""
_LOOK_SECONDS, _LOOK_SHARE = 0.1, 50
"""Time between two looks, and at least so many times what a look takes."""
_LOOKS = 5
"""Looks at which bytes beyond the free ones have become more, before it is a flood. Those of a call
that has not begun, because the machine is busy, become more until the window is full."""
_STRIKES, _STRIKE_SECONDS, _BAN_SECONDS = 3, 30.0, 60.0
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
        self.refused = 0
        """Calls that were refused."""


class CountedCalls(aio.ServerInterceptor):
    """Interceptor that notes what the messages of each connection explain.

    It counts calls whose handlers take streams, as all do that are called before a message is read.
    """

    def __init__(self, message_bytes: int, limits: Mapping[str, int]) -> None:
        """``message_bytes``: longest message of the port; ``limits``: those of services with a
        shorter one, by full name."""
        self._message_bytes = message_bytes
        self._limits = limits
        self.unread = UnreadAnswers()
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

        serialize = handler.response_serializer or bytes

        async def single(messages: AsyncIterator[bytes], context: Context) -> bytes:
            with self._call(context, longest) as progress:
                counted = _counted(messages, progress, longest, parse)
                answer: bytes = serialize(await handler.stream_unary(counted, context))
            if peer := peer_of(context.peer()):
                taken = self.unread.add(peer, len(answer))
                context.add_done_callback(lambda _: taken())  # type: ignore[arg-type]
            return answer

        return grpc.stream_unary_rpc_method_handler(single)

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
            code = context.code()
            progress.refused += code in _REFUSALS
            progress.broken_off += longest if code is _COME_AGAIN else 0


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


class _Account:
    """Account of one connection in the watch."""

    def __init__(self, connection: Connection, forgivable: float, now: float) -> None:
        self.connection = connection
        self._most_forgivable = self._forgivable = forgivable
        """Bytes of messages that may break off."""
        self._forgiven = 0.0
        self._broken_off = self._refused = 0
        """Numbers of the connection's progress at the last look."""
        self._refusals = 0.0
        """Refused calls, less those that are forgotten."""
        self._looked_at = now
        self._excess, self._rises = 0.0, 0

    def floods(self, excess: float, free: float) -> bool:
        """Returns whether bytes that nothing explains came on and on, look after look."""
        if excess <= free:
            self._rises = 0
        elif excess > self._excess:
            self._rises += 1
        self._excess = excess
        return excess == math.inf or self._rises >= _LOOKS

    def look(self, received: int, progress: Progress, under_way: int, now: float) -> float:
        """Returns the bytes that a connection has brought for nothing that is known of; with too
        many refused calls that is without end."""
        seconds, self._looked_at = now - self._looked_at, now
        broken_off, self._broken_off = progress.broken_off - self._broken_off, progress.broken_off
        refused, self._refused = progress.refused - self._refused, progress.refused
        self._refusals = max(0.0, self._refusals - _REFUSED_PER_SECOND * seconds) + refused
        unexplained = max(0.0, received - progress.explained - self._forgiven)
        self._forgivable = min(
            self._forgivable + _BROKEN_OFF_PER_SECOND * seconds, self._most_forgivable
        )
        forgiven = min(broken_off, self._forgivable, unexplained)
        self._forgivable -= forgiven
        forgiven += min(_FREE_BYTES_PER_SECOND * seconds, unexplained - forgiven)
        self._forgiven += forgiven
        return math.inf if self._refusals > _REFUSED else unexplained - forgiven - under_way


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
        for connection in self._overdue(connections, now):
            self._sockets.end(connection)
            log.warning("answers_unread", address=connection.peer[0], port=self._port)
        free, excess = _FREE_BYTES, [(self._excess(each, now), each) for each in accounts.values()]
        slow = (count for count, _ in excess if _FREE_BYTES_OF_MANY < count < math.inf)
        if sum(slow) > _FREE_BYTES_OF_ALL:
            free = _FREE_BYTES_OF_MANY
        for count, account in excess:
            if account.floods(count, free):
                self._strike(account.connection.peer[0], now)  # before its peer can come again
                self._sockets.end(account.connection)
        if any(until <= now for until in self._banned.values()):
            self._banned = {net: until for net, until in self._banned.items() if until > now}
            self._sockets.refuse(self._banned)

    def _overdue(self, connections: list[Connection], now: float) -> list[Connection]:
        """Returns the connections whose answers wait for too long, or are too many."""
        overdue = self._calls.unread.overdue(now)
        return [connection for connection in connections if connection.peer in overdue]

    def _account(self, connection: Connection, now: float) -> _Account:
        known = self._accounts.get(connection.inode)
        return known or _Account(connection, float(self._message_bytes), now)

    def _excess(self, account: _Account, now: float) -> float:
        progress = self._calls.of(account.connection.peer) or Progress()
        under_way = min(progress.under_way, _MESSAGES_UNDER_WAY * self._message_bytes)
        received = self._sockets.received(account.connection)
        return account.look(received, progress, under_way, now)

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
