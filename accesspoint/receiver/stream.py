"""Uplink service: streams of blocks in, each block's answer out as soon as it is ready."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from grpc import aio

from accesspoint.events import Feed
from accesspoint.receiver.blocks import Receiver
from accesspoint.receiver.camera_streams import CameraStreams
from accesspoint.receiver.credits import Credits
from accesspoint.receiver.metrics import ReceiverMetrics
from accesspoint.receiver.pipeline import BlockPipeline, Outbox, SpeaksFor
from accesspoint.receiver.refusal_pace import RefusalPace
from accesspoint.receiver.requests import parse, wrong_id
from accesspoint.receiver.settings import ReceiverSettings
from airreid import log
from airreid.errors import InputError
from airreid.reading_turns import PacedStream, ReadingTurns
from airreid.v1 import uplink_pb2

SERVICE = uplink_pb2.DESCRIPTOR.services_by_name["UplinkService"].full_name

Context = aio.ServicerContext[Any, Any]
Access = Callable[[Context], Awaitable[SpeaksFor]]
"""Reads a stream's credentials; ends the stream of a caller who may not send at all."""


NEWCOMERS = 64
"""Streams above the limit that may wait for their first block."""
_LONG_BYTES_PER_SECOND = 32 << 20
"""Bytes of messages, too long for a block, that are read in a second."""


def _edge_of(message: bytes) -> str:
    """Returns the camera that a message names, or nothing."""
    try:
        request = parse(message)
    except InputError:
        return ""
    return "" if wrong_id(request) else request.id.edge_id


async def anybody(context: Context) -> SpeaksFor:
    """Lets every stream speak for every edge."""
    return lambda edge_id: True


class Uplink:
    """Server of ``UplinkService``; :class:`BlockPipeline` answers what its streams read."""

    def __init__(
        self,
        receiver: Receiver,
        settings: ReceiverSettings,
        metrics: ReceiverMetrics,
        feed: Feed,
        access: Access = anybody,
    ) -> None:
        """Must be called in the event loop that serves."""
        self._settings = settings
        self._metrics = metrics
        self._access = access
        self._outboxes: set[Outbox] = set()
        self._cameras = CameraStreams(settings.streams_per_edge)
        self._refusal_pace = RefusalPace()
        self._newcomers = 0
        self._turns = ReadingTurns(_LONG_BYTES_PER_SECOND)
        self._credits = Credits(settings.window, settings.max_in_flight, time.monotonic)
        self._pipeline = BlockPipeline(receiver, settings, self._credits, metrics, feed)
        metrics.gauge("streams", "Streams that are open.", lambda: self._credits.streams)
        metrics.gauge("in_flight", "Blocks read and not answered.", lambda: self._credits.in_flight)

    def register(self, server: aio.Server) -> str:
        """Adds the service; returns its full name.

        The handler takes bytes, not messages: what cannot be parsed is answered in-band.
        """
        query: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(
            self._query, request_deserializer=None, response_serializer=None
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {"Query": query}),)
        )
        return SERVICE

    def drain(self) -> None:
        """Ends every stream once what it has read is answered: the edges will come again."""
        for outbox in self._outboxes:
            outbox.drain()

    def close(self) -> None:
        """Answers what is waiting, then ends the threads."""
        self._pipeline.close()

    def _follow(self, outbox: Outbox, message: bytes, speaks_for: SpeaksFor) -> None:
        """Notes whose stream it is, by a block that it may send."""
        edge_id = _edge_of(message)
        if edge_id and speaks_for(edge_id):
            outbox.edge_id = edge_id
            self._replace(edge_id, self._cameras.add(edge_id, outbox))

    def _replace(self, edge_id: str, older: Outbox | None) -> None:
        """Ends a camera's stream, if there is one to end, since it has newer ones."""
        if older is not None:
            log.event("stream_replaced", edge=edge_id)
            older.replaced = True
            older.end_reading(failed=True)

    async def _first_of_known(
        self, messages: AsyncIterator[bytes], speaks_for: SpeaksFor
    ) -> bytes | None:
        """Makes room for a stream whose camera has one already, which is likely dead: a link that
        went silent is known to be gone only later.

        Returns the new stream's first message, or None where there is no room for it.
        """
        if self._newcomers >= NEWCOMERS:
            return None
        self._newcomers += 1
        try:
            seconds = self._settings.newcomer_seconds
            first = await asyncio.wait_for(anext(messages), seconds)
        except (TimeoutError, StopAsyncIteration):
            return None
        finally:
            self._newcomers -= 1
        edge_id = _edge_of(first)
        older = self._cameras.pop_oldest(edge_id) if edge_id and speaks_for(edge_id) else None
        self._replace(edge_id, older)
        return None if older is None else first

    async def _query(
        self, messages: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        speaks_for = await self._access(context)
        messages = aiter(messages)
        paced = PacedStream(messages, self._turns)
        first: bytes | None = None
        if self._credits.streams >= self._settings.max_streams:
            first = await self._first_of_known(paced, speaks_for)
            if first is None:
                if isinstance(messages, AsyncGenerator):
                    await messages.aclose()
                self._metrics.refused_streams.inc()
                await context.abort(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"{self._settings.max_streams} streams are open; try again later",
                )
        windows = 1 if self._settings.drop == "never" else 2
        outbox = Outbox(self._credits.join(), self._credits.window, windows)

        async def take(message: bytes) -> None:
            if not outbox.edge_id:
                self._follow(outbox, message, speaks_for)
            usable = await self._pipeline.take(message, outbox, speaks_for)
            await outbox.room()
            if not usable:
                await self._refusal_pace.take()

        async def read() -> None:
            try:
                if first is not None:
                    await take(first)
                async for message in paced:
                    await take(message)
            except BaseException:
                outbox.end_reading(failed=True)
                raise
            outbox.end_reading()

        self._outboxes.add(outbox)
        reader = asyncio.create_task(read())
        try:
            while (answer := await outbox.next()) is not None:
                yield answer
                outbox.written()
            if outbox.replaced:
                await context.abort(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"edge {outbox.edge_id} has newer streams, and one may have "
                    f"{self._settings.streams_per_edge} (uplink.streams_per_edge); open one again "
                    "when another has ended",
                )
            if reader.done():
                await reader
        finally:
            self._outboxes.discard(outbox)
            self._cameras.remove(outbox.edge_id, outbox)
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await reader
            self._pipeline.abandon(outbox)
            self._credits.leave(outbox.share)
