"""Messages of a port's connections, counted: what each explains of the bytes that came."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Set,
)
from typing import Any

import grpc
from grpc import aio

from airreid.connection_churn import HEARD, OTHER, UNHEARD, YOUNG_SECONDS
from airreid.port_sockets import Peer, peer_of
from airreid.unread_answers import UnreadAnswers

Context = aio.ServicerContext[Any, Any]
_BYTES_OF_A_MESSAGE, _BYTES_OF_A_CALL, _OVERHEAD = 64, 1024, 1.25
"""Bytes that a message, its call and each byte of it explain: frames, headers, records of TLS."""
_COME_AGAIN = grpc.StatusCode.RESOURCE_EXHAUSTED
"""Status of calls that are refused before their message, which is on its way, has been read."""
_REFUSALS = (_COME_AGAIN, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


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
        self.ended = 0
        """Calls that ended, those that were refused among them."""


class CountedCalls(aio.ServerInterceptor):
    """Interceptor that notes what the messages of each connection explain.

    It counts calls whose handlers take streams, as all do that are called before a message is read.
    """

    def __init__(
        self,
        message_bytes: int,
        limits: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``message_bytes``: longest message of the port; ``limits``: those of services with a
        shorter one, by full name."""
        self._clock = clock
        self._message_bytes = message_bytes
        self._limits = limits
        self.unread = UnreadAnswers()
        self._progress: dict[Peer, Progress] = {}
        self._gone: set[Peer] = set()
        self._costs: defaultdict[str, float] = defaultdict(float)
        """Cost of the young calls that ended, by address."""
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
                with self._call(context, longest) as call:
                    async with contextlib.aclosing(call.counted(messages, parse)) as counted:
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
            with self._call(context, longest) as call:
                async with contextlib.aclosing(call.counted(messages, parse)) as counted:
                    answer: bytes = serialize(await handler.stream_unary(counted, context))
            if peer := peer_of(context.peer()):
                taken = self.unread.add(peer, len(answer))
                context.add_done_callback(lambda _: taken())  # type: ignore[arg-type]
            return answer

        return grpc.stream_unary_rpc_method_handler(single)

    def of(self, peer: Peer) -> Progress | None:
        """Returns what is known of a connection."""
        return self._progress.get(peer)

    def take_costs(self) -> Mapping[str, float]:
        """Returns by address what the young calls cost that ended since this was called before:
        those without a message that were not refused, and the first of a connection."""
        with self._lock:
            costs, self._costs = self._costs, defaultdict(float)
        return costs

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
    def _call(self, context: Context, longest: int) -> Iterator[_Call]:
        peer, begun_at = peer_of(context.peer()), self._clock()
        with self._lock:
            progress = Progress() if peer is None else self._progress.setdefault(peer, Progress())
            progress.calls += 1
        call = _Call(progress, longest)
        try:
            yield call
        finally:
            code = context.code()
            refused = code in _REFUSALS
            progress.calls -= 1
            progress.ended += 1
            progress.refused += refused
            progress.broken_off += longest if code is _COME_AGAIN else 0
            if peer is not None and self._clock() - begun_at < YOUNG_SECONDS:
                with self._lock:
                    if not (call.heard or refused):
                        self._costs[peer[0]] += UNHEARD
                    elif progress.ended == 1:
                        self._costs[peer[0]] += OTHER if refused else HEARD


class _Call:
    """Call that is under way."""

    def __init__(self, progress: Progress, longest: int) -> None:
        self._progress = progress
        """Progress of its connection."""
        self._longest = longest
        self.heard = False
        """Whether a message has come."""

    async def counted(
        self, messages: AsyncIterator[bytes], parse: Callable[[bytes], Any]
    ) -> AsyncGenerator[Any, None]:
        """Yields the messages of a call, parsed, and notes what they explain.

        Nothing is noted before the first is asked for: its caller has been let in then. Closed, it
        closes ``messages``: gRPC's holds its last message, and itself, until garbage is collected.
        """
        progress = self._progress
        messages = aiter(messages)
        progress.under_way += self._longest
        explained, awaited = float(_BYTES_OF_A_CALL), True
        try:
            async for message in messages:
                self.heard = True
                progress.explained += explained + _BYTES_OF_A_MESSAGE + _OVERHEAD * len(message)
                explained, awaited = 0.0, False
                yield parse(message)
                awaited = True
            awaited = False
        finally:
            progress.under_way -= self._longest
            if awaited:
                progress.broken_off += self._longest
            await messages.aclose()  # type: ignore[attr-defined]
