"""Pipeline of a block at the access point: from a message on a stream to its answer.

A message is parsed and authorised, its block is read, admitted within the credits, looked up
among the blocks that came before, and enqueued (:meth:`BlockPipeline.take`). A worker or the
event loop computes it, and :meth:`BlockPipeline._finish` sends the answer. Each step answers
what it stops.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from accesspoint.events import Feed
from accesspoint.receiver.answer_cache import AnswerCache, Cached, Conflict, Key, Limits, New
from accesspoint.receiver.batch_scheduler import BatchScheduler
from accesspoint.receiver.blocks import Block, Receiver
from accesspoint.receiver.credits import Credits
from accesspoint.receiver.metrics import ReceiverMetrics
from accesspoint.receiver.outbox import Outbox as GenericOutbox
from accesspoint.receiver.piece_store import OUT_OF_ORDER, PieceStore
from accesspoint.receiver.query_event import query_event
from accesspoint.receiver.requests import (
    Request,
    age_ms_of,
    fingerprint,
    parse,
    wrong_id,
)
from accesspoint.receiver.responses import Response, refuse, response_to
from accesspoint.receiver.settings import ReceiverSettings
from airreid.errors import InputError
from airreid.v1 import common_pb2

_FINAL = (common_pb2.CODE_OK, common_pb2.CODE_OUTAGE, common_pb2.CODE_DROPPED)
"""Answers that a block which comes again gets once more; after others it is computed anew."""
_SEARCHED = (common_pb2.CODE_OK, common_pb2.CODE_OUTAGE)

SpeaksFor = Callable[[str], bool]
"""Whether a stream's credential may speak for an edge id."""


@dataclass(eq=False, slots=True)
class Ticket:
    """A block on its way through the pipeline."""

    block: Block
    outbox: Outbox
    key: Key | None
    """The block's name; None if it has none and so cannot come again."""
    arrived: float
    """``time.perf_counter()`` when the message was read."""
    age_ms: float | None
    """Age on arrival, since the capture; None if the block does not say."""
    deletions: int
    """Deletion counter of the gallery, read before the search."""
    dear: bool
    """Whether its search costs as much as those of many others."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """A block that came again while the first was under way."""

    outbox: Outbox
    age_ms: float | None


Outbox = GenericOutbox[Ticket]


class BlockPipeline:
    """The way of every block; all of it but the computation runs in one event loop."""

    def __init__(
        self,
        receiver: Receiver,
        settings: ReceiverSettings,
        stream_credits: Credits,
        metrics: ReceiverMetrics,
        feed: Feed,
    ) -> None:
        """Must be called in the event loop that serves."""
        self._receiver = receiver
        self._settings = settings
        self._credits = stream_credits
        self._metrics = metrics
        self._feed = feed
        self._scheduler: BatchScheduler[Ticket] = BatchScheduler(
            self._process,
            self._deliver,
            self._only_one_in_flight,
            receiver.is_local,
            settings.max_batch,
        )
        limits = Limits(
            settings.kept_per_edge,
            settings.kept_bytes_per_edge,
            settings.kept,
            settings.kept_bytes,
            settings.kept_seconds,
        )
        self._answer_cache: AnswerCache[_Copy] = AnswerCache(limits, time.monotonic)
        self._pieces = PieceStore(receiver.nested)
        self._deletions = receiver.deletions
        scores, pieces = self._pieces.score_memory, self._pieces.memory
        metrics.gauge("piece_score_bytes", "Bytes of open blocks' scores.", lambda: scores.held)
        metrics.gauge("piece_bytes", "Bytes of open blocks' pieces.", lambda: pieces.held)
        metrics.gauge("kept_answers", "Answers kept for repeats.", lambda: len(self._answer_cache))
        metrics.gauge("kept_bytes", "Bytes of answers kept.", lambda: self._answer_cache.size)

    def close(self) -> None:
        """Computes what is waiting, then ends the threads."""
        self._scheduler.close()

    async def take(self, message: bytes, outbox: Outbox, speaks_for: SpeaksFor) -> bool:
        """Gets a message its answer, now or when it is computed.

        Returns whether it was of use: a block that was taken, or word that answers are settled.
        """
        arrived = time.perf_counter()
        request = self._parse(message, outbox)
        if request is None:
            return False
        if not self._authorise(request, outbox, speaks_for):
            return request.settled_only and bool(outbox.edge_id)
        age_ms = age_ms_of(request)
        block = self._read(request, outbox, age_ms)
        if block is None:
            return False
        dear = self._receiver.is_dear(request)
        await self._credits.admit(outbox.share, dear)
        deletions = self._receiver.deletions
        ticket = Ticket(block, outbox, _key(request), arrived, age_ms, deletions, dear)
        if not self._pieces.may_join(ticket.key, request):
            self._credits.answered(outbox.share, dear)
            self._refuse(block.response, common_pb2.CODE_NOT_READY, OUT_OF_ORDER, outbox)
        elif self._is_new(ticket):
            self._hear(ticket)
        return True

    def _hear(self, ticket: Ticket) -> None:
        """Joins a block in pieces with its earlier ones, then has it computed."""
        block = self._pieces.joined(ticket.outbox, ticket.key, ticket.block)
        if block is None:
            refuse(ticket.block.response, common_pb2.CODE_NOT_READY, OUT_OF_ORDER)
            self._finish(ticket)
            return
        ticket.block = block
        self._enqueue(ticket)

    def abandon(self, outbox: Outbox) -> None:
        """Drops what waits of a stream that has ended, unless another stream waits for it too.

        What the edge sends again on its next stream is computed then.
        """
        self._pieces.leave(outbox)
        for ticket in list(outbox.queued.values()):
            if ticket.key is not None and self._answer_cache.has_waiting(ticket.key):
                continue
            if self._scheduler.take_back(ticket.block.request.scheme_id, ticket):
                outbox.queued.pop(id(ticket), None)
                self._credits.answered(outbox.share, ticket.dear)
                if ticket.key is not None:
                    self._answer_cache.answered(ticket.key, None)
                    self._pieces.forget(ticket.key)

    def _parse(self, message: bytes, outbox: Outbox) -> Request | None:
        try:
            return parse(message)
        except InputError as error:
            outbox.unwritten += 1
            self._refuse(Response(), common_pb2.CODE_INVALID, str(error), outbox)
            return None

    def _authorise(self, request: Request, outbox: Outbox, speaks_for: SpeaksFor) -> bool:
        """Returns whether the request holds a block that the stream may send.

        Settles the answers that the edge says it has. A name that is too long settles
        nothing and is refused when the block is read.
        """
        named = not wrong_id(request)
        allowed = named and speaks_for(request.id.edge_id)
        if allowed and request.settled_below:
            self._answer_cache.settle(
                request.id.edge_id, request.id.spool_id, request.settled_below
            )
        if request.settled_only:
            return False
        outbox.unwritten += 1
        if named and not allowed:
            text = f"edge {request.id.edge_id!r}: this credential does not speak for it"
            self._refuse(response_to(request), common_pb2.CODE_FORBIDDEN, text, outbox)
            return False
        return True

    def _read(self, request: Request, outbox: Outbox, age_ms: float | None) -> Block | None:
        block = self._receiver.read(request)
        if isinstance(block, Block):
            return block
        self._metrics.answered("", block)
        outbox.send(block.SerializeToString(), False, age_ms or 0.0)
        self._publish(request, block)
        return None

    def _is_new(self, ticket: Ticket) -> bool:
        """Returns whether the block must be computed; a copy gets the answer of the first."""
        if ticket.key is None:
            return True
        self._forget_the_deleted()
        request, outbox = ticket.block.request, ticket.outbox
        verdict = self._answer_cache.ask(
            ticket.key, fingerprint(request), _Copy(outbox, ticket.age_ms)
        )
        if isinstance(verdict, New):
            return True
        self._credits.answered(outbox.share, ticket.dear)
        match verdict:
            case Cached(answer):
                self._metrics.repeated.inc()
                outbox.send(answer, True, ticket.age_ms or 0.0)
            case Conflict():
                text = (
                    f"block {request.id.sequence} of spool {request.id.spool_id}: another block "
                    "has had this number; give every block its own, and a new life of the edge "
                    "a new spool id"
                )
                self._refuse(response_to(request), common_pb2.CODE_CONFLICT, text, outbox)
        return False

    def _forget_the_deleted(self) -> None:
        """Empties the cache after a deletion: no cached answer names somebody who is gone."""
        deletions = self._receiver.deletions
        if deletions != self._deletions:
            self._deletions = deletions
            self._answer_cache.clear()

    def _enqueue(self, ticket: Ticket) -> None:
        """Has a block computed, unless it or an older one is to be dropped."""
        outbox = ticket.outbox
        if self._drop_if_too_old(ticket, ticket.arrived):
            self._finish(ticket)
            return
        if self._settings.drop == "oldest" and outbox.unwritten > self._credits.window():
            self._drop_oldest(outbox)
        outbox.queued[id(ticket)] = ticket
        self._scheduler.put(ticket.block.request.scheme_id, ticket, ticket.dear)

    def _only_one_in_flight(self) -> bool:
        return self._credits.in_flight == 1

    def _process(self, scheme_id: str, batch: list[Ticket]) -> None:
        """Computes answers, in any thread."""
        started = time.perf_counter()
        deletions = self._receiver.deletions
        live: list[Block] = []
        for ticket in batch:
            ticket.deletions = deletions
            ticket.block.response.timings.queue_ms = (started - ticket.arrived) * 1e3
            if not self._drop_if_too_old(ticket, started):
                live.append(ticket.block)
        if live:
            self._receiver.process(scheme_id, live)

    def _deliver(self, batch: list[Ticket]) -> None:
        for ticket in batch:
            self._finish(ticket)

    def _finish(self, ticket: Ticket) -> None:
        """Sends a block's answer to its stream and to the copies that wait for it."""
        response, request, outbox = ticket.block.response, ticket.block.request, ticket.outbox
        self._pieces.answered(outbox, ticket.key, response)
        data = response.SerializeToString()
        outbox.queued.pop(id(ticket), None)
        self._credits.answered(outbox.share, ticket.dear)
        if ticket.key is not None:
            fresh = ticket.deletions == self._receiver.deletions
            final = data if fresh and response.status.code in _FINAL else None
            for copy in self._answer_cache.answered(ticket.key, final):
                self._metrics.repeated.inc()
                copy.outbox.send(data, True, copy.age_ms or 0.0)
        outbox.send(data, False, ticket.age_ms or 0.0)
        if response.more_wanted:
            self._metrics.asked()
            return
        self._metrics.answered(request.scheme_id, response)
        if request.truth and response.status.code in _SEARCHED:
            self._metrics.known(request.truth, response)
        self._publish(request, response)

    def _publish(self, request: Request, response: Response) -> None:
        bandwidth = self._receiver.bandwidth_in_pieces(request)
        self._feed.publish(query_event(request, response, time.time(), bandwidth))

    def _refuse(
        self, response: Response, code: common_pb2.Code.ValueType, why: str, outbox: Outbox
    ) -> None:
        """Answers a block that is not computed."""
        refuse(response, code, why)
        self._metrics.answered("", response)
        outbox.send(response.SerializeToString(), False, 0.0)

    def _drop_if_too_old(self, ticket: Ticket, now: float) -> bool:
        """Drops a block that is older than the operator wants; returns whether it did."""
        max_age_ms = self._settings.drop_after_ms
        if max_age_ms is None:
            return False
        age_ms = (ticket.age_ms or 0.0) + (now - ticket.arrived) * 1e3
        if age_ms <= max_age_ms:
            return False
        text = (
            f"{age_ms / 1e3:.1f} s old; blocks older than {max_age_ms / 1e3:g} s are dropped here"
        )
        refuse(ticket.block.response, common_pb2.CODE_DROPPED, text)
        return True

    def _drop_oldest(self, outbox: Outbox) -> None:
        """Makes room in a stream's queue, unless all of it is being computed already."""
        for ticket in outbox.queued.values():
            if self._scheduler.take_back(ticket.block.request.scheme_id, ticket):
                text = "the access point is behind and newer blocks of this stream came"
                refuse(ticket.block.response, common_pb2.CODE_DROPPED, text)
                self._finish(ticket)
                return


def _key(request: Request) -> Key | None:
    """The block's name; None where an edge or spool is missing: nobody can ask again."""
    block_id = request.id
    if not (block_id.edge_id and block_id.spool_id):
        return None
    return Key(block_id.edge_id, block_id.spool_id, block_id.sequence)
