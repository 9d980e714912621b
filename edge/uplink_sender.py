"""Keeps the uplink going: what waits in the spool is sent until it is answered."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable

from airreid import log
from airreid.credentials import NOBODY, ClientCredentials
from airreid.errors import LinkError
from airreid.link_report import ReportedLink
from airreid.nested.pacing import Pacing
from airreid.uplink_client import Uplink
from airreid.worker import Worker
from edge import backoff
from edge.metrics import Metrics
from edge.results import WRONG_BUNDLE, Outcome
from edge.settings import UplinkSettings
from edge.spool import Spool
from edge.uplink_stream import UplinkStream

_RECORD_AT_ONCE = 64
"""Answers recorded at a time."""
_STEADY_SECONDS = 10.0
"""A stream that held this long was no failure: the next attempt comes soon again."""
_RETRY_SECONDS = 1.0
"""Pause before another attempt to record answers."""


class Sender:
    """Two threads: one has the stream and opens it anew when it breaks, one records answers.

    On a new stream everything unanswered goes out again under its old number. The first
    answer that is recorded wins.
    """

    def __init__(
        self,
        target: str,
        spool: Spool,
        settings: UplinkSettings,
        publish: Callable[[list[Outcome]], None],
        metrics: Metrics,
        rng: random.Random,
        link: ReportedLink,
        credentials: ClientCredentials = NOBODY,
        bundle_id: str = "",
        pacing: Pacing | None = None,
    ) -> None:
        """``publish`` is called with answers once they are recorded, ``link`` told what they say.

        Blocks of the bundle ``bundle_id`` wait where the access point serves another one.
        ``pacing`` says how many of their pieces go out at once; None: as many as asked for.
        The spool wakes the sender when it has accepted something.
        """
        self._target = target
        self._credentials = credentials
        self._spool = spool
        self._settings = settings
        self._publish = publish
        self._metrics = metrics
        self._rng = rng
        self._link = link
        self._bundle_id = bundle_id
        self._pacing = pacing
        self.refusal = ""
        """Code and reason of the latest answer, if it refused a block."""
        self._warned: set[str] = set()
        """Codes of refusals that the log has since the link came up."""
        self._stop = threading.Event()
        self._sends: Counter[int] = Counter()
        self._stream: UplinkStream | None = None
        self._uplink: Uplink | None = None
        self._said_up: bool | None = None
        self._recorder = Worker("recorder", self._record, _RECORD_AT_ONCE)
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        spool.on_accept(self._wake)

    def start(self) -> None:
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether there is a stream."""
        return self._uplink is not None

    def _wake(self) -> None:
        stream = self._stream
        if stream is not None:
            stream.notify()

    def stop(self, drain_seconds: float) -> None:
        """Ends both threads; before that, what waits has ``drain_seconds`` to be answered."""
        until = time.monotonic() + drain_seconds
        self._wake()
        while self.connected and self._spool.waiting and time.monotonic() < until:
            time.sleep(0.02)
        self._stop.set()
        stream, uplink = self._stream, self._uplink
        if stream is not None:
            stream.end()
        if uplink is not None:
            uplink.close()
        if self._thread.is_alive():
            self._thread.join(1.0)  # it may be connecting still, which nothing interrupts
        self._recorder.close(5.0)

    def _run(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            started = time.monotonic()
            stream = self._stream = self._new_stream()
            try:
                self._run_stream(stream)
                reason = "the other end ended the stream"
            except LinkError as error:
                reason = str(error)
            except Exception as error:  # the edge must go on trying, whatever it was
                reason = repr(error)
            if self._stop.is_set():
                break
            if stream.answers or time.monotonic() - started > _STEADY_SECONDS:
                attempt = 0
            self._metrics.connected(False)
            self._say(False, reason)
            self._stop.wait(backoff.delay(attempt, self._settings.backoff_seconds, self._rng))
            attempt += 1

    def _new_stream(self) -> UplinkStream:
        return UplinkStream(
            self._spool,
            self._sends,
            self._take,
            self._refused,
            self._settings.backoff_seconds,
            self._rng,
            self._link,
            self._bundle_id,
            self._pacing,
        )

    def _run_stream(self, stream: UplinkStream) -> None:
        """One stream from its opening to its end. Raises :class:`LinkError`."""
        settings = self._settings
        with Uplink(self._target, settings.connect_seconds, self._credentials) as uplink:
            self._uplink = uplink
            self._metrics.connected(True)
            if self._said_up is None:
                self._say(True)
            try:
                if not self._stop.is_set():
                    stream.run(uplink, settings.window, settings.answer_seconds)
            finally:
                self._uplink = None

    def _take(self, outcome: Outcome) -> None:
        self._say(True)
        if outcome.is_refusal:
            self._warn(outcome, "frame_refused")
        else:
            self.refusal = ""
            self._warned.discard(WRONG_BUNDLE)
        self._recorder.put(outcome)

    def _refused(self, outcome: Outcome, news: bool) -> None:
        self._say(True)
        if outcome.code == WRONG_BUNDLE:
            self._warn(outcome, "frames_kept")
        elif news:
            log.warning("access_point_not_ready", to=self._target, reason=outcome.message)

    def _warn(self, outcome: Outcome, event: str) -> None:
        """Logs a refusal, the first with its code since the link came up."""
        self.refusal = f"{outcome.code}: {outcome.message}"
        if outcome.code not in self._warned:
            self._warned.add(outcome.code)
            log.warning(event, to=self._target, code=outcome.code, reason=outcome.message)

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
        """Forgets frames that are given up."""
        for sequence in sequences:
            self._sends.pop(sequence, None)

    def _say(self, up: bool, reason: str = "") -> None:
        """Logs a change, and not every attempt in between."""
        if self._said_up is up:
            return
        self._said_up = up
        self._warned.clear()
        self.refusal = ""
        if up:
            log.event("link_up", to=self._target, waiting=self._spool.waiting)
        else:
            log.warning("link_down", to=self._target, reason=reason, waiting=self._spool.waiting)
