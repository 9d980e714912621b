"""One stream: what waits in the spool goes out in order, and answers come in."""

from __future__ import annotations

import heapq
import random
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator

from airreid import log
from airreid.link_report import ReportedLink
from airreid.nested.pacing import Pacing
from airreid.nested.sending import PieceSender
from airreid.payload import first_piece_of
from airreid.uplink_client import Uplink
from airreid.v1 import common_pb2, uplink_pb2
from edge import backoff
from edge.results import Outcome
from edge.spool import Spool

_READ_AT_ONCE = 64
"""Blocks read from the spool at a time."""
_IDLE_SECONDS = 1.0
"""After so long without a block the other end is told which answers it may forget."""
_NOT_READY_SECONDS = 0.1
"""Shortest pause when the other end is not ready."""


class UplinkStream:
    """A stream's place in the spool, from its opening to its end.

    Blocks go out in the order of their numbers. One for which the access point is not ready
    goes out again after a pause, which grows while that lasts; one of this edge's bundle does too
    while the access point serves another bundle.
    """

    def __init__(
        self,
        spool: Spool,
        sends: Counter[int],
        answered: Callable[[Outcome], None],
        refused: Callable[[Outcome, bool], None],
        backoff_seconds: float,
        rng: random.Random,
        link: ReportedLink,
        bundle_id: str = "",
        pacing: Pacing | None = None,
    ) -> None:
        """``answered`` is called with every answer, in the thread of :meth:`run`.

        ``sends`` counts how often each number was sent. ``refused`` is called with an answer
        that says that the access point is not ready, and whether that begins a pause after
        none; ``backoff_seconds`` is the longest pause. ``link`` is told what answers say of the
        link. Blocks of the bundle ``bundle_id`` wait for an access point that serves it; empty:
        none does. ``pacing`` says how many pieces go out at once; None: as many as asked for.
        """
        self._spool = spool
        self._sends = sends
        self._answered = answered
        self._refused = refused
        self._backoff_seconds = backoff_seconds
        self._rng = rng
        self._changed = threading.Condition()
        self._ended = False
        self._sent_through = -1
        """The highest number that was sent."""
        self._buffer: deque[uplink_pb2.QueryRequest] = deque()
        self._postponed: list[int] = []
        """Heap of numbers for which the access point was not ready."""
        self._pauses = 0
        """Pauses in a row."""
        self._pause_until = 0.0
        self._told_below = 0
        """The other end knows that all blocks with lower numbers are settled."""
        self._bundle_id = bundle_id
        self._of_bundle: set[int] = set()
        """Numbers that were sent, of blocks of that bundle, and that have no answer yet."""
        self._link = link
        self._pieces = PieceSender(link, pacing)
        self.answers = 0
        """Answers that have come, whatever they say."""

    def run(self, uplink: Uplink, window: int, answer_seconds: float | None) -> None:
        """Sends and receives until :meth:`end`, or until the other end ends the stream.

        At most ``window`` blocks are unanswered. Raises :class:`airreid.errors.LinkError` when
        the stream breaks, and when a block has no answer after ``answer_seconds``.
        """
        try:
            for answer in uplink.query(self._blocks(), window, answer_seconds):
                self.answers += 1
                response = answer.response
                if response.id.spool_id != self._spool.spool_id:
                    continue  # nobody here sent that
                sequence = response.id.sequence
                self._link.heard(response)
                if not self._pieces.heard(response):
                    self.notify()
                    continue
                seconds = self._pieces.ended(sequence)
                latency_ms = answer.latency_ms if seconds is None else seconds * 1e3
                outcome = Outcome(sequence, response, latency_ms, self._sends[sequence])
                if self._goes_again(outcome):
                    self._refused(outcome, self._postpone(sequence))
                else:
                    self._of_bundle.discard(sequence)
                    self._pauses = 0
                    self._answered(outcome)
        finally:
            self.end()

    def _goes_again(self, outcome: Outcome) -> bool:
        code = outcome.response.status.code
        if code == common_pb2.CODE_WRONG_BUNDLE:
            return outcome.sequence in self._of_bundle
        return code == common_pb2.CODE_NOT_READY

    def notify(self) -> None:
        """Wakes the stream: there is something new in the spool."""
        with self._changed:
            self._changed.notify_all()

    def end(self) -> None:
        """Sends no more; the stream ends once the other end has answered what is on its way."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _blocks(self) -> Iterator[uplink_pb2.QueryRequest]:
        """Blocks that wait, then those that come, until the stream has ended."""
        while (block := self._next()) is not None:
            if not (block.settled_only or first_piece_of(block)):
                sequence = block.id.sequence
                self._sent_through = max(self._sent_through, sequence)
                self._sends[sequence] += 1
                if block.bundle_id == self._bundle_id:
                    self._of_bundle.add(sequence)
            self._told_below = block.settled_below = self._settled_below()
            yield block

    def _next(self) -> uplink_pb2.QueryRequest | None:
        """Waits for the next block to send, or for something to say; None: it is over."""
        with self._changed:
            while not self._ended:
                pause = self._pause_until - time.monotonic()
                if pause > 0:
                    self._changed.wait(min(pause, _IDLE_SECONDS))
                    continue
                block = self._oldest()
                if block is not None:
                    return block if first_piece_of(block) else self._pieces.begin(block)
                news = self._changed.wait(_IDLE_SECONDS)
                if not news and self._settled_below() > self._told_below:
                    return uplink_pb2.QueryRequest(id=self._spool.block_id(0), settled_only=True)
        return None

    def _oldest(self) -> uplink_pb2.QueryRequest | None:
        if (message := self._pieces.next()) is not None:
            return message
        while self._postponed:
            sequence = heapq.heappop(self._postponed)
            for block in self._read(sequence - 1, 1):
                if block.id.sequence == sequence:  # it has not been given up meanwhile
                    return block
        if not self._buffer:
            self._buffer.extend(self._read(self._sent_through, _READ_AT_ONCE))
        return self._buffer.popleft() if self._buffer else None

    def _postpone(self, sequence: int) -> bool:
        """Sends a block again later, and lets all wait a little; whether that is news."""
        with self._changed:
            heapq.heappush(self._postponed, sequence)
            now = time.monotonic()
            if now < self._pause_until:  # of the same windowful
                return False
            pause = backoff.delay(self._pauses, self._backoff_seconds, self._rng)
            self._pause_until = now + max(_NOT_READY_SECONDS, pause)
            self._pauses += 1
            return self._pauses == 1

    def _settled_below(self) -> int:
        try:
            return self._spool.settled_below()
        except sqlite3.Error:
            return self._told_below

    def _read(self, after: int, limit: int) -> list[uplink_pb2.QueryRequest]:
        try:
            return self._spool.blocks(after, limit)
        except sqlite3.Error as error:
            if not self._ended:
                log.warning("spool_read_failed", error=str(error))
            return []
