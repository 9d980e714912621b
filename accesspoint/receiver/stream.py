"""The uplink service: streams of blocks in, each block's answer out as soon as it is ready."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from grpc import aio

from accesspoint.events import Feed
from accesspoint.receiver.answer_cache import AnswerCache, Conflict, Joined, Kept, Key, Limits, New
from accesspoint.receiver.batch_scheduler import BatchScheduler
from accesspoint.receiver.blocks import (
    Block,
    Receiver,
    Request,
    Response,
    refuse,
    response_to,
    wrong_id,
)
from accesspoint.receiver.credits import Credits
from accesspoint.receiver.metrics import ReceiverMetrics
from accesspoint.receiver.outbox import Outbox
from accesspoint.receiver.report import query_event
from accesspoint.receiver.requests import age_ms_of, fingerprint, parse
from accesspoint.receiver.settings import ReceiverSettings
from airreid.v1 import common_pb2, uplink_pb2

SERVICE = uplink_pb2.DESCRIPTOR.services_by_name["UplinkService"].full_name
_KEPT = (common_pb2.CODE_OK, common_pb2.CODE_OUTAGE, common_pb2.CODE_DROPPED)
"""Answers that a block which comes again gets once more; anything else is made anew."""

Context = aio.ServicerContext[Any, Any]
Access = Callable[[Context], Awaitable[Callable[[str], bool]]]
"""From a stream's credentials: for which edge ids it may speak. Ends the stream of a caller
who may not send at all."""


@dataclass(eq=False, slots=True)
class _Ticket:
    """A block on its way through."""

    block: Block
    outbox: _Outbox
    key: Key | None
    arrived: float
    age_ms: float | None
    deletions: int
    """Of the gallery before the search."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """A block that came again while the first was under way."""

    outbox: _Outbox
    age_ms: float | None


_Outbox = Outbox[_Ticket]


async def anybody(context: Context) -> Callable[[str], bool]:
    """Every stream may speak for every edge."""
    return lambda edge_id: True


class Uplink:
    """Serves ``UplinkService``. Everything but the computation is done in one event loop."""

    def __init__(
        self,
        receiver: Receiver,
        settings: ReceiverSettings,
        metrics: ReceiverMetrics,
        feed: Feed,
        access: Access = anybody,
    ) -> None:
        """Must be made in the event loop that serves."""
        self._receiver = receiver
        self._settings = settings
        self._metrics = metrics
        self._feed = feed
        self._access = access
        self._outboxes: set[_Outbox] = set()
        self._scheduler: BatchScheduler[_Ticket] = BatchScheduler(
            self._process,
            self._deliver,
            self._only_one_in_flight,
            receiver.is_local,
            settings.max_batch,
        )
        self._deletions = receiver.deletions
        self._credits = Credits(settings.window, settings.max_in_flight, time.monotonic)
        limits = Limits(
            settings.kept_per_edge,
            settings.kept_bytes_per_edge,
            settings.kept,
            settings.kept_bytes,
            settings.kept_seconds,
        )
        self._answer_cache: AnswerCache[_Copy] = AnswerCache(limits, time.monotonic)
        metrics.gauge("streams", "Streams that are open.", lambda: self._credits.streams)
        metrics.gauge("in_flight", "Blocks read and not answered.", lambda: self._credits.in_flight)
        metrics.gauge("kept_answers", "Answers kept for repeats.", lambda: len(self._answer_cache))
        metrics.gauge("kept_bytes", "Bytes of answers kept.", lambda: self._answer_cache.size)

    def register(self, server: aio.Server) -> str:
        """Adds the service; returns its full name.

        Requests that are no messages are answered in-band, so they are parsed here.
        """
        query: grpc.RpcMethodHandler[Request | str, bytes]
        query = grpc.stream_stream_rpc_method_handler(
            self._query, request_deserializer=parse, response_serializer=None
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
        self._scheduler.close()

    async def _query(
        self, requests: AsyncIterator[Request | str], context: Context
    ) -> AsyncIterator[bytes]:
        allowed = await self._access(context)
        if self._credits.streams >= self._settings.max_streams:
            self._metrics.refused_streams.inc()
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{self._settings.max_streams} streams are open; try again later",
            )
        beyond = 1 if self._settings.drop == "never" else 2
        outbox = _Outbox(self._credits.join(), self._credits.window, beyond)

        async def read() -> None:
            try:
                async for request in requests:
                    await self._take(request, outbox, allowed)
                    await outbox.room()
            except BaseException:
                outbox.no_more(failed=True)
                raise
            outbox.no_more()

        self._outboxes.add(outbox)
        reader = asyncio.create_task(read())
        try:
            while (answer := await outbox.next()) is not None:
                yield answer
                outbox.written()
            if reader.done():
                await reader
        finally:
            self._outboxes.discard(outbox)
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await reader
            self._credits.leave(outbox.share)

    async def _take(
        self, request: Request | str, outbox: _Outbox, allowed: Callable[[str], bool]
    ) -> None:
        """Sees to it that a request gets its answer, now or when it is computed."""
        arrived = time.perf_counter()
        if isinstance(request, str):
            outbox.unwritten += 1
            self._refuse(Response(), common_pb2.CODE_INVALID, request, outbox)
            return
        block_id = request.id
        may = not wrong_id(request) and allowed(block_id.edge_id)
        if may and request.settled_below:
            self._answer_cache.settle(block_id.edge_id, block_id.spool_id, request.settled_below)
        if request.settled_only:
            return
        outbox.unwritten += 1
        if not may and not wrong_id(request):
            text = f"edge {block_id.edge_id!r}: this credential does not speak for it"
            self._refuse(response_to(request), common_pb2.CODE_FORBIDDEN, text, outbox)
            return
        age_ms = age_ms_of(request)
        block = self._receiver.read(request)
        if isinstance(block, Response):
            self._metrics.answered("", block)
            outbox.send(block.SerializeToString(), False, age_ms or 0.0)
            self._feed.publish(query_event(request, block, time.time()))
            return
        await self._credits.admit(outbox.share)
        key = None
        if block_id.edge_id and block_id.spool_id:  # without them nobody can ask again
            key = Key(block_id.edge_id, block_id.spool_id, block_id.sequence)
            self._forget_the_deleted()
            verdict = self._answer_cache.ask(key, fingerprint(request), _Copy(outbox, age_ms))
            if not isinstance(verdict, New):
                self._credits.answered(outbox.share)
                self._again(verdict, request, outbox, age_ms)
                return
        ticket = _Ticket(block, outbox, key, arrived, age_ms, self._receiver.deletions)
        if self._too_old(ticket, arrived):
            self._finish(ticket)
            return
        if self._settings.drop == "oldest" and outbox.unwritten > self._credits.window():
            self._drop_oldest(outbox)
        outbox.queued[id(ticket)] = ticket
        self._scheduler.put(request.scheme_id, ticket)

    def _forget_the_deleted(self) -> None:
        """No kept answer names somebody whose entries were deleted."""
        if self._deletions != self._receiver.deletions:
            self._deletions = self._receiver.deletions
            self._answer_cache.clear()

    def _again(
        self,
        verdict: Joined | Conflict | Kept,
        request: Request,
        outbox: _Outbox,
        age_ms: float | None,
    ) -> None:
        """What a block gets whose number is known."""
        match verdict:
            case Kept(answer):
                self._metrics.repeated.inc()
                outbox.send(answer, True, age_ms or 0.0)
            case Conflict():
                text = (
                    f"block {request.id.sequence} of spool {request.id.spool_id}: another block "
                    "has had this number; give every block its own, and a new life of the edge "
                    "a new spool id"
                )
                self._refuse(response_to(request), common_pb2.CODE_CONFLICT, text, outbox)

    def _only_one_in_flight(self) -> bool:
        return self._credits.in_flight == 1

    def _process(self, scheme_id: str, batch: list[_Ticket]) -> None:
        """Computes answers, in any thread."""
        started = time.perf_counter()
        live, deletions = [], self._receiver.deletions
        for ticket in batch:
            ticket.deletions = deletions
            ticket.block.response.timings.queue_ms = (started - ticket.arrived) * 1e3
            if not self._too_old(ticket, started):
                live.append(ticket.block)
        if live:
            self._receiver.process(scheme_id, live)

    def _deliver(self, batch: list[_Ticket]) -> None:
        for ticket in batch:
            self._finish(ticket)

    def _finish(self, ticket: _Ticket) -> None:
        """Sends a block's answer to whoever waits for it."""
        response, request, outbox = ticket.block.response, ticket.block.request, ticket.outbox
        data = response.SerializeToString()
        outbox.queued.pop(id(ticket), None)
        self._credits.answered(outbox.share)
        if ticket.key is not None:
            fresh = ticket.deletions == self._receiver.deletions
            keep = data if fresh and response.status.code in _KEPT else None
            for copy in self._answer_cache.answered(ticket.key, keep):
                self._metrics.repeated.inc()
                copy.outbox.send(data, True, copy.age_ms or 0.0)
        outbox.send(data, False, ticket.age_ms or 0.0)
        self._metrics.answered(request.scheme_id, response)
        if request.truth and response.status.code in (
            common_pb2.CODE_OK,
            common_pb2.CODE_OUTAGE,
        ):
            self._metrics.known(request.truth, response)
        self._feed.publish(query_event(request, response, time.time()))

    def _refuse(
        self, response: Response, code: common_pb2.Code.ValueType, why: str, outbox: _Outbox
    ) -> None:
        """Answers a block that is not computed."""
        refuse(response, code, why)
        self._metrics.answered("", response)
        outbox.send(response.SerializeToString(), False, 0.0)

    def _too_old(self, ticket: _Ticket, now: float) -> bool:
        """Drops a block that is older than the operator wants; True if it was."""
        most = self._settings.drop_after_ms
        if most is None:
            return False
        age = (ticket.age_ms or 0.0) + (now - ticket.arrived) * 1e3
        if age <= most:
            return False
        text = f"{age / 1e3:.1f} s old; blocks older than {most / 1e3:g} s are dropped here"
        refuse(ticket.block.response, common_pb2.CODE_DROPPED, text)
        return True

    def _drop_oldest(self, outbox: _Outbox) -> None:
        """Makes room in a stream's queue, unless all of it is being computed already."""
        for ticket in outbox.queued.values():
            if self._scheduler.take_back(ticket.block.request.scheme_id, ticket):
                text = "the access point is behind and newer blocks of this stream came"
                refuse(ticket.block.response, common_pb2.CODE_DROPPED, text)
                self._finish(ticket)
                return
