"""From frames to accepted blocks: decode, encode in micro-batches, write to the spool.

How a crop travels:

    a source (folder, gRPC, standard input, ``edge send``)  Pipeline.submit(frame), any thread
    queue -> worker                 decodes, encodes up to 8 frames at once, makes blocks
    worker -> Spool.accept          the frame is promised now; ``submit``'s future is done
    Spool -> UplinkStream -> Spool.settle -> Pipeline.publish   sent, answered, told to who waits
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from airreid import log
from airreid.digital.adaptation import Rate, choose_rate
from airreid.errors import InputError
from airreid.images import decode
from airreid.link_report import ReportedLink, choice_bits
from airreid.nested.pieces import cut
from airreid.payload import Analog, Link, Payload
from airreid.scheme import BlockCost
from airreid.worker import Worker
from edge.airtime import Radio
from edge.blocks import check_sendable, unnumbered
from edge.encoder import Encoder
from edge.frames import ClosedError, EncodeError, Frame, SpoolDiskError, SpoolFullError
from edge.results import Outcome
from edge.settings import AUTO, REPORT, SendSettings
from edge.spool import Spool
from edge.spool_entry import Entry

if TYPE_CHECKING:  # prometheus: only where it is served
    from edge.metrics import Metrics

MAX_BATCH = 8
"""Frames that are encoded together, at most."""
_FULL = "the spool is full; offer the frame again later"


@dataclass(frozen=True)
class Accepted:
    """A frame that is in the spool."""

    sequence: int
    encode_ms: float
    cost: BlockCost
    """Channel uses and bits of its block."""
    outcome: Future[Outcome | None]
    """The answer once it is recorded; None for a frame that was dropped as stale."""


@dataclass(frozen=True)
class _Job:
    frame: Frame
    wants_outcome: bool
    future: Future[Accepted] = field(default_factory=Future)


class Pipeline:
    """Takes frames from any thread; one worker encodes what has queued, some at a time."""

    def __init__(
        self,
        encoder: Encoder,
        spool: Spool,
        sending: SendSettings,
        radio: Radio,
        metrics: Metrics | None = None,
        max_batch: int = MAX_BATCH,
    ) -> None:
        """``max_batch`` frames are encoded together at most.

        Raises :class:`airreid.errors.AirReidError` for a scheme or link that the bundle lacks.
        """
        self._encoder = encoder
        self._spool = spool
        self._radio = radio
        self._metrics = metrics
        self._lock = threading.Lock()
        self._outcomes: dict[int, Future[Outcome | None]] = {}
        self._closed = False
        self.link = ReportedLink(sending.target_outage)
        """Memory of what answers say of the link."""
        self._rates: list[Rate] = []
        self.sending = sending
        self.switch(sending.scheme_id, sending.link)
        self._worker = Worker("encoder", self._process, max_batch)

    def switch(self, scheme_id: str, link: Link | None) -> SendSettings:
        """Changes how frames are sent from now on. ``link`` None: the scheme's usual one.

        Another scheme sends all of its bandwidth. Raises :class:`airreid.errors.AirReidError` for a
        scheme or link that the bundle lacks; then everything stays as it was.
        """
        before = self.sending
        bandwidth = before.bandwidth if scheme_id == before.scheme_id else None
        settings = self._encoder.send_settings(
            scheme_id, link, before.top_k, bandwidth, before.target_outage
        )
        self._encoder.scheme(scheme_id)
        self._rates = self._encoder.rates(settings)
        self.sending = settings
        return self.sending

    def submit(self, frame: Frame, wants_outcome: bool = False) -> Future[Accepted]:
        """Queues a frame; the future is done once it is accepted.

        It fails with :class:`InputError` if the frame is not usable, with
        :class:`EncodeError` if a network broke on it, and with :class:`SpoolFullError`,
        :class:`SpoolDiskError` or :class:`ClosedError` if it was not accepted and may be
        offered again.
        """
        job = _Job(frame, wants_outcome)
        if self._closed:
            job.future.set_exception(ClosedError("the edge is ending"))
        else:
            self._worker.put(job)
        return job.future

    def close(self) -> None:
        """Ends the worker once what has queued is accepted or refused."""
        self._closed = True
        self._worker.close(30.0)

    def publish(self, outcomes: list[Outcome]) -> None:
        """Tells those who wait for these answers."""
        for outcome in outcomes:
            self._tell(outcome.sequence, outcome)

    def dropped(self, sequences: list[int]) -> None:
        """Tells those who wait for these frames that they are given up."""
        for sequence in sequences:
            self._tell(sequence, None)

    def _tell(self, sequence: int, outcome: Outcome | None) -> None:
        with self._lock:
            future = self._outcomes.pop(sequence, None)
        if future is not None and future.set_running_or_notify_cancel():
            future.set_result(outcome)

    def _process(self, jobs: list[_Job]) -> None:
        jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        try:
            self._accept_all(jobs)
        except Exception as error:  # whatever it is, nobody may wait for ever
            for job in jobs:
                if not job.future.done():
                    self._fail(job, error)

    def _accept_all(self, jobs: list[_Job]) -> None:
        room = self._spool.room
        for job in jobs[room:]:
            self._fail(job, SpoolFullError(_FULL))
        started, ready = time.perf_counter(), []
        for job in jobs[:room]:
            try:
                ready.append((job, _decoded(job.frame)))
            except InputError as error:
                self._fail(job, error)
        if not ready:
            return
        sending = self._adapted(self.sending)
        features = self._features(ready, sending.scheme_id)
        packed = [
            (job, payload)
            for job, row in features
            if (payload := self._pack(job, row, sending)) is not None
        ]
        if not packed:
            return
        encode_ms = (time.perf_counter() - started) * 1e3 / len(ready)
        entries = [self._entry(job.frame, payload, sending, encode_ms) for job, payload in packed]
        with self._lock:  # an answer must not come before it is known who waits for it
            try:
                sequences = self._spool.accept(entries)
            except (SpoolFullError, SpoolDiskError) as error:
                for job, _ in packed:
                    self._fail(job, error)
                return
            accepted = [
                Accepted(sequence, encode_ms, entry.cost, Future())
                for sequence, entry in zip(sequences, entries, strict=True)
            ]
            for (job, _), frame in zip(packed, accepted, strict=True):
                if job.wants_outcome:
                    self._outcomes[frame.sequence] = frame.outcome
        for (job, _), frame in zip(packed, accepted, strict=True):
            if self._metrics is not None:
                self._metrics.frame_accepted(job.frame.source, encode_ms / 1e3)
            job.future.set_result(frame)

    def _adapted(self, sending: SendSettings) -> SendSettings:
        """Returns the settings, with the digital scheme that the link carries if one is chosen."""
        rates = self._rates
        if not rates or sending.bandwidth != REPORT:
            return sending
        rate = choose_rate(rates, self.link.latest(), sending.target_outage)
        return sending.model_copy(update={"scheme_id": rate.scheme_id})

    def _features(
        self, ready: list[tuple[_Job, Image.Image]], scheme_id: str
    ) -> list[tuple[_Job, NDArray[np.float32]]]:
        """Encodes to float32 (1, feature_dim) each; one on which the network breaks fails alone."""
        try:
            rows = self._encoder.features([image for _, image in ready], scheme_id)
        except Exception as error:
            if len(ready) > 1:
                return [row for pair in ready for row in self._features([pair], scheme_id)]
            self._fail(ready[0][0], _broken(ready[0][0].frame, error))
            return []
        return [(job, row[None]) for (job, _), row in zip(ready, rows, strict=True)]

    def _pack(self, job: _Job, row: NDArray[np.float32], sending: SendSettings) -> Payload | None:
        try:
            in_pieces = sending.bandwidth not in (None, REPORT)
            [payload] = self._encoder.payloads(row, sending.scheme_id, sending.link, in_pieces)
            if (sending.bandwidth or "").isdigit():
                payload = cut(payload, int(sending.bandwidth or 0))
            check_sendable(payload, job.frame.name or "image")
        except InputError as error:
            self._fail(job, error)
        except Exception as error:
            self._fail(job, _broken(job.frame, error))
        else:
            return payload
        return None

    def _entry(
        self, frame: Frame, payload: Payload, sending: SendSettings, encode_ms: float
    ) -> Entry:
        cost = self._encoder.scheme(sending.scheme_id).cost(payload)
        if self._rates and sending.bandwidth == REPORT:
            cost = replace(cost, side_bits=cost.side_bits + choice_bits(len(self._rates)))
        block = unnumbered(
            payload,
            self._encoder.bundle.bundle_id,
            sending.scheme_id,
            frame.top_k or sending.top_k,
            track_id=frame.track_id,
        )
        block.truth = frame.truth
        block.more_available = sending.bandwidth == AUTO
        block.by_report = sending.bandwidth == REPORT and isinstance(payload, Analog)
        block.report_wanted = sending.bandwidth in (AUTO, REPORT)
        return Entry(
            source=frame.source,
            name=frame.name,
            block=block,
            cost=cost,
            encode_ms=encode_ms,
            air_ms=self._radio.air_ms(cost),
            energy_uj=self._radio.energy_uj(cost),
            file_key=frame.file_key,
        )

    def _fail(self, job: _Job, error: Exception) -> None:
        if isinstance(error, SpoolFullError | SpoolDiskError):
            if self._metrics is not None:
                why = "full" if isinstance(error, SpoolFullError) else "disk"
                self._metrics.refused.labels(why).inc()
        elif not isinstance(error, InputError):
            log.warning("encode_failed", source=job.frame.source, error=repr(error))
        # its frames hold the images, and would until the next collection: jobs know their futures
        error.__context__ = None
        job.future.set_exception(error.with_traceback(None))


def _decoded(frame: Frame) -> Image.Image:
    """Decodes a frame's image. Raises :class:`InputError` for contents that are none."""
    if isinstance(frame.image, bytes):
        return decode(frame.image, frame.name or "image")
    return frame.image


def _broken(frame: Frame, error: Exception) -> EncodeError:
    return EncodeError(f"{frame.name or 'image'}: edge: {type(error).__name__}: {error}")
