"""Bounds of gRPC calls: what a message may weigh, and how many are read at once.

A server of gRPC knows a single size for all messages of a port. Here each service has its own:
a message is read when its call may read, within a time, and weighed before it is parsed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import grpc
from grpc import aio

from airreid.reading_turns import LONG_BYTES, PacedStream, ReadingTurns

Context = aio.ServicerContext[Any, Any]


@dataclass(frozen=True)
class CallLimits:
    """Bounds of the calls of one service."""

    message_bytes: int = 64 * 1024
    """Longest message."""
    reading: int = 32
    """Messages of unary calls that are read at once."""
    when_full: Literal["wait", "end_oldest"] = "end_oldest"
    """A further call waits for its turn to read, or ends the call that has read for longest: a
    small message comes with its headers, and what does not is no caller's who means well."""
    reading_seconds: float = 10.0
    """Time for one message of a unary call."""
    streams: int = 64
    """Streams that are open at once."""
    paced: bool = False
    """Long messages of streams are read one at a time, too."""


SMALL = CallLimits()
"""Limits of services without a credential: health and reflection."""


class MessageReader:
    """Reader of messages of one service within its limits; owned by one event loop."""

    def __init__(self, limits: CallLimits, turns: ReadingTurns | None = None) -> None:
        """``turns``: those of all readers of a port; this reader's alone if left out."""
        self.limits = limits
        self._turns = turns or ReadingTurns()
        self._turn = asyncio.Semaphore(limits.reading)
        self._reading: dict[asyncio.Timeout, None] = {}
        """Times of the calls that are being read, the oldest first."""

    async def single(self, messages: AsyncIterator[bytes], context: Context) -> bytes:
        """Reads the message of a unary call; ends a call whose message does not come."""
        if self.limits.when_full == "wait":
            async with self._turn:
                return await self._in_time(messages, context)
        if len(self._reading) >= self.limits.reading:
            oldest = next(iter(self._reading))
            del self._reading[oldest]
            oldest.reschedule(asyncio.get_running_loop().time())
        return await self._in_time(messages, context)

    async def _in_time(self, messages: AsyncIterator[bytes], context: Context) -> bytes:
        try:
            async with asyncio.timeout(self.limits.reading_seconds) as time:
                self._reading[time] = None
                try:
                    data = await self._turns.read(messages)
                finally:
                    self._reading.pop(time, None)
        except TimeoutError:
            await context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED, "the message did not come in time; send it again"
            )
        if data is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the call has no message")
            raise AssertionError
        size = len(data)
        if size > self.limits.message_bytes:
            del data  # the traceback of what is raised would keep it until the next collection
            await self._refuse(size, context)
            raise AssertionError
        return data

    async def _refuse(self, size: int, context: Context) -> None:
        """Ends a call whose message is longer than the service takes."""
        await context.abort(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"a message of {size} bytes; this call takes at most {self.limits.message_bytes}",
        )

    async def many(
        self, messages: AsyncIterator[bytes], context: Context, parse: Callable[[bytes], Any]
    ) -> AsyncIterator[Any]:
        """Yields the messages of a stream, parsed."""
        # where no message may be long, one that is has its time
        if self.limits.message_bytes <= LONG_BYTES or self.limits.paced:
            messages = PacedStream(messages, self._turns)
        async for data in messages:
            size = len(data)
            if size > self.limits.message_bytes:
                del data
                await self._refuse(size, context)
                raise AssertionError
            parsed = parse(data)
            del data  # while the parsed message is looked at, it alone is held
            yield parsed
            del parsed


class BoundedCalls(aio.ServerInterceptor):
    """Interceptor that reads the messages of given services within their limits.

    It makes streams of unary handlers: those are called before their message is read.
    """

    def __init__(self, limits: Mapping[str, CallLimits], turns: ReadingTurns) -> None:
        """``limits`` by full name of a service. A service that is not among them reads its
        messages itself. ``turns``: those of all long messages of the port."""
        self._readers = {name: MessageReader(bound, turns) for name, bound in limits.items()}
        self._open = dict.fromkeys(limits, 0)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Returns the handler of a call, bounded if its service is."""
        handler = await continuation(details)
        service = details.method.strip("/").partition("/")[0]
        reader = self._readers.get(service)
        if handler is None or reader is None:
            return handler
        return self._bounded(handler, reader, service)

    def _bounded(self, handler: Any, reader: MessageReader, service: str) -> Any:
        parse = handler.request_deserializer or bytes
        if not handler.request_streaming and not handler.response_streaming:

            async def unary(messages: AsyncIterator[bytes], context: Context) -> Any:
                # nothing here keeps the message: the traceback of a refusal keeps this frame
                return await handler.unary_unary(
                    parse(await reader.single(messages, context)), context
                )

            return grpc.stream_unary_rpc_method_handler(
                unary, response_serializer=handler.response_serializer
            )

        async def stream(messages: AsyncIterator[bytes], context: Context) -> Any:
            if self._open[service] >= reader.limits.streams:
                await context.abort(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"{reader.limits.streams} streams are open; try again later",
                )
            self._open[service] += 1
            try:
                if handler.request_streaming:
                    parsed = reader.many(messages, context, parse)
                    async for response in handler.stream_stream(parsed, context):
                        yield response
                    return
                request = parse(await reader.single(messages, context))
                answers = handler.unary_stream(request, context)
                if hasattr(answers, "__aiter__"):
                    async for response in answers:
                        yield response
                else:  # one that writes to its context
                    await answers
            finally:
                self._open[service] -= 1

        return grpc.stream_stream_rpc_method_handler(
            stream, response_serializer=handler.response_serializer
        )
