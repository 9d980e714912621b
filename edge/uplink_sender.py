"""Keeps the uplink going: what waits in the spool is sent until it is answered."""

from __future__ import annotations

import heapq
import random
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from airreid import log
from airreid.credentials import NOBODY, ClientCredentials
from airreid.errors import LinkError
from airreid.uplink_client import Uplink
from airreid.v1 import common_pb2, uplink_pb2
from airreid.worker import Worker
from edge import backoff
from edge.metrics import Metrics
from edge.results import Outcome
from edge.settings import UplinkSettings
from edge.spool import Spool

_AT_ONCE = 64
"""Blocks read from the spool, and answers recorded, at a time."""
_STEADY_SECONDS = 10.0
"""A stream that held this long was no failure: the next attempt comes soon again."""
_RETRY_SECONDS = 1.0


_IDLE_SECONDS = 1.0
"""After so long without a block the other end is told which answers it may forget."""
_NOT_READY_SECONDS = 0.1
"""Shortest pause when the other end is not ready."""


@dataclass
class _Stream:
    """One stream's place in the spool; ``ended`` tells its generator that it is over."""

    after: int = 0
    ended: bool = False
    buffer: deque[uplink_pb2.QueryRequest] = field(default_factory=deque)
    again: list[int] = field(default_factory=list)
    """Heap of numbers for which the access point was not ready."""
    refusals: int = 0
    """Pauses in a row."""
    pause_until: float = 0.0
    told: int = 0
    """All blocks with lower numbers are known to be settled at the other end."""


class Sender:
    """Two threads: one has the stream and opens it anew when it breaks, one records answers.

    Blocks go out in the order of their numbers; on a new stream everything unanswered goes
    out again under its old number. A block for which the access point is not ready goes out
    again after a pause, which grows while that lasts. The first answer that is recorded wins.
    """

    def __init__(
        self,
        target: str,
        spool: Spool,
        settings: UplinkSettings,
        publish: Callable[[list[Outcome]], None],
        metrics: Metrics,
        rng: random.Random,
        credentials: ClientCredentials = NOBODY,
    ) -> None:
        """``publish`` is called with answers once they are recorded."""
        self._target = target
        self._credentials = credentials
        self._spool = spool
        self._settings = settings
        self._publish = publish
        self._metrics = metrics
        self._rng = rng
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._sends: Counter[int] = Counter()
        self._uplink: Uplink | None = None
        self._connected = False
        self._said: bool | None = None
        self._recorder = Worker("recorder", self._record, _AT_ONCE)
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def connected(self) -> bool:
        return self._connected

    def notify(self) -> None:
        """There is something new in the spool."""
        with self._changed:
            self._changed.notify_all()

    def stop(self, drain_seconds: float) -> None:
        """Ends both threads; before that, what waits has ``drain_seconds`` to be answered."""
        until = time.monotonic() + drain_seconds
        self.notify()
        while self.connected and self._spool.waiting and time.monotonic() < until:
            time.sleep(0.02)
        self._stop.set()
        self.notify()
        uplink = self._uplink
        if uplink is not None:
            uplink.close()
        if self._thread.is_alive():
            self._thread.join(1.0)  # it may be connecting still, which nothing interrupts
        self._recorder.close(5.0)

    def _run(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                answers = self._stream()
                reason = "the other end ended the stream"
            except LinkError as error:
                answers, reason = self._answered, str(error)
            except Exception as error:  # the edge must go on trying, whatever it was
                answers, reason = self._answered, repr(error)
            if self._stop.is_set():
                break
            if answers or time.monotonic() - started > _STEADY_SECONDS:
                attempt = 0
            self._down(reason)
            self._stop.wait(backoff.delay(attempt, self._settings.backoff_seconds, self._rng))
            attempt += 1

    def _stream(self) -> int:
        """One stream from its opening to its end; the number of answers that came."""
        self._answered = 0
        stream = _Stream()
        with Uplink(self._target, self._settings.connect_seconds, self._credentials) as uplink:
            self._uplink = uplink
            self._up()
            try:
                answers = uplink.query(
                    self._blocks(stream), self._settings.window, self._settings.answer_seconds
                )
                for answer in answers:
                    self._answered += 1
                    self._say(True)
                    response = answer.response
                    if response.id.spool_id != self._spool.spool_id:
                        continue  # nobody here sent that
                    sequence = response.id.sequence
                    if response.status.code == common_pb2.CODE_NOT_READY:
                        self._postpone(stream, sequence, response.status.message)
                        continue
                    stream.refusals = 0
                    sends = self._sends[sequence]
                    self._recorder.put(Outcome(sequence, response, answer.latency_ms, sends))
            finally:
                self._uplink = None
                with self._changed:
                    stream.ended = True
                    self._changed.notify_all()
        return self._answered

    def _blocks(self, stream: _Stream) -> Iterator[uplink_pb2.QueryRequest]:
        """What waits, then what comes, until the stream has ended."""
        while (block := self._next(stream)) is not None:
            if not block.settled_only:
                sequence = block.id.sequence
                stream.after = max(stream.after, sequence)
                self._sends[sequence] += 1
            stream.told = block.settled_below = self._settled_below(stream)
            yield block

    def _next(self, stream: _Stream) -> uplink_pb2.QueryRequest | None:
        """Waits for the next block to send, or for something to say; None: it is over."""
        with self._changed:
            while not (stream.ended or self._stop.is_set()):
                pause = stream.pause_until - time.monotonic()
                if pause > 0:
                    self._changed.wait(min(pause, _IDLE_SECONDS))
                    continue
                block = self._oldest(stream)
                if block is not None:
                    return block
                news = self._changed.wait(_IDLE_SECONDS)
                if not news and self._settled_below(stream) > stream.told:
                    return uplink_pb2.QueryRequest(id=self._spool.block_id(0), settled_only=True)
        return None

    def _oldest(self, stream: _Stream) -> uplink_pb2.QueryRequest | None:
        while stream.again:
            sequence = heapq.heappop(stream.again)
            for block in self._read(sequence - 1, 1):
                if block.id.sequence == sequence:  # it has not been given up meanwhile
                    return block
        if not stream.buffer:
            stream.buffer.extend(self._read(stream.after, _AT_ONCE))
        return stream.buffer.popleft() if stream.buffer else None

    def _postpone(self, stream: _Stream, sequence: int, why: str) -> None:
        """The access point is not ready: this block goes again, and all wait a little."""
        with self._changed:
            heapq.heappush(stream.again, sequence)
            now = time.monotonic()
            if now < stream.pause_until:  # of the same windowful
                return
            if not stream.refusals:
                log.warning("access_point_not_ready", to=self._target, reason=why)
            wait = backoff.delay(stream.refusals, self._settings.backoff_seconds, self._rng)
            stream.pause_until = now + max(_NOT_READY_SECONDS, wait)
            stream.refusals += 1

    def _settled_below(self, stream: _Stream) -> int:
        try:
            return self._spool.settled_below()
        except sqlite3.Error:
            return stream.told

    def _read(self, after: int, limit: int) -> list[uplink_pb2.QueryRequest]:
        try:
            return self._spool.blocks(after, limit)
        except sqlite3.Error as error:
            if not self._stop.is_set():
                log.warning("spool_read_failed", error=str(error))
            return []

    def _record(self, outcomes: list[Outcome]) -> None:
        """Writes answers into the log; tries until the disk takes them or the edge ends."""
        failing = False
        while True:
            try:
                first = self._spool.settle(outcomes)
                break
            except sqlite3.Error as error:
                if not failing:
                    log.warning("answers_not_recorded", count=len(outcomes), error=str(error))
                failing = True
                if self._stop.wait(_RETRY_SECONDS):
                    return  # they are sent, and answered, again after the next start
        for outcome in outcomes:
            del self._sends[outcome.sequence]
        for outcome in first:
            self._metrics.answer(outcome)
        self._publish(first)

    def forget(self, sequences: list[int]) -> None:
        """These will not be answered any more."""
        for sequence in sequences:
            self._sends.pop(sequence, None)

    def _up(self) -> None:
        self._connected = True
        self._metrics.connected(True)
        if self._said is None:
            self._say(True)

    def _down(self, reason: str) -> None:
        self._connected = False
        self._metrics.connected(False)
        self._say(False, reason)

    def _say(self, up: bool, reason: str = "") -> None:
        """Logs a change, and not every attempt in between."""
        if self._said is up:
            return
        self._said = up
        if up:
            log.event("link_up", to=self._target, waiting=self._spool.waiting)
        else:
            log.warning("link_down", to=self._target, reason=reason, waiting=self._spool.waiting)
