"""Sends image files once and collects an answer, or a reason, for each."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from airreid import decisions
from airreid.errors import AirReidError, InputError, LinkError
from airreid.picture_files import picture_files, why_not
from airreid.scheme import BlockCost
from airreid.subject_ids import id_of
from airreid.uplink_client import Uplink
from airreid.v1 import common_pb2, uplink_pb2
from edge import airtime
from edge.airtime import Radio, heard_cost, pacing_of
from edge.encoder import Encoder
from edge.folder import shown
from edge.frames import Frame, track_of
from edge.pipeline import Accepted, Pipeline
from edge.reading import Crop, read_ahead
from edge.results import Outcome, identities, ranked_fields
from edge.settings import SendSettings
from edge.spool import Spool
from edge.uplink_stream import UplinkStream

_WINDOW = 4
"""Unanswered blocks at a time."""
_NOT_READY_SECONDS, _PAUSE_SECONDS = 60.0, 5.0
"""Seconds that blocks are sent again while the access point is not ready; longest pause."""
_CAPACITY = 100_000_000
"""Files of one run, more than anybody gives."""


_NO_RADIO = Radio()


@dataclass(frozen=True)
class Sent:
    """The outcome for one file."""

    path: Path
    response: uplink_pb2.QueryResponse | None
    latency_ms: float
    error: str
    """Empty when ranked subjects came back, or the news that the air took the block."""
    cost: BlockCost | None = None
    """Channel uses and bits that crossed the air; None if nothing did."""
    encode_ms: float = 0.0
    """Time from the file to the payload, waiting not counted."""
    whole_uses: int = 0
    """Channel uses of a whole block by the scheme that was to be sent by."""

    def as_dict(self, radio: Radio | None = None) -> dict[str, object]:
        """Plain values for JSON; air time and energy as the radio has them."""
        out: dict[str, object] = {"image": str(self.path), "error": self.error or None}
        if self.cost is not None:
            out |= airtime.as_dict(self.cost, radio or Radio())
            out["encode_ms"] = round(self.encode_ms, 3)
        if self.response is not None:
            channel = self.response.channel if self.response.HasField("channel") else None
            out |= {
                "sequence": self.response.id.sequence,
                "link": self.response.link,
                "snr_db": channel.snr_db if channel else None,
                "outage": self.response.outage,
                "latency_ms": round(self.latency_ms, 3),
                "message": self.response.status.message or None,
                "decision": decisions.plain(self.response.decision),
                **ranked_fields(identities(self.response)),
            }
        return out


@dataclass(frozen=True)
class _Offered:
    """A file that was read and handed to the pipeline."""

    crop: Crop
    accepted: Future[Accepted]


class OneShot:
    """The pipeline over a spool in memory, and one stream that is not opened again.

    Use as a context manager, for one call of :meth:`send`. Frames are encoded one by one:
    eight at once take 3 % less time an image (int8 ResNet-50), and come later.
    """

    def __init__(
        self,
        encoder: Encoder,
        uplink: Uplink,
        settings: SendSettings,
        edge_id: str,
        tell: Callable[[str], object] = lambda text: None,
        radio: Radio = _NO_RADIO,
    ) -> None:
        """``tell`` is called with what keeps the access point from answering.

        ``radio``: how fast symbols go out, where that is known.

        Raises :class:`airreid.errors.AirReidError` for a scheme that the bundle lacks.
        """
        self._uplink = uplink
        self._tell = tell
        self._spool = Spool(None, edge_id, _CAPACITY, first_sequence=0)
        self._whole_uses = encoder.bundle.scheme(settings.scheme_id).bandwidth
        self._cut = partial(encoder.crop, scheme_id=settings.scheme_id)
        self._pipeline = Pipeline(encoder, self._spool, settings, Radio(), max_batch=1)
        self._refusals: dict[int, Outcome] = {}
        """Last answer of blocks for which the access point is not ready."""
        self._changed = threading.Condition()
        self._stream = UplinkStream(
            self._spool,
            Counter(),
            self._answered,
            self._refused,
            _PAUSE_SECONDS,
            random.Random(),
            self._pipeline.link,
            pacing=pacing_of(radio),
        )
        self._spool.on_accept(self._stream.notify)
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.end()
        if error is not None:
            self._uplink.close()
        self._pipeline.close()
        self._thread.join(1.0)
        self._spool.close()

    def send(
        self,
        paths: Sequence[Path],
        done: Callable[[int, Sent], object] = lambda position, outcome: None,
        truth: bool = False,
    ) -> list[Sent]:
        """Encodes and sends each file; the outcomes in the order of the files.

        The next files are read while one is encoded, and answers come meanwhile. ``done`` is
        called with a file's position and outcome as soon as that is known, in any thread.
        ``truth`` says with each block whom its file's
        folder names. A file that is no image gets its error and does not stop the others.
        Blocks for which the access point is not ready are sent again for a minute. When the
        stream breaks, the answers so far are kept and the other files get that as theirs.
        """
        names = truths_of(paths) if truth else [""] * len(paths)
        offered: list[_Offered] = []
        with closing(read_ahead(paths, self._cut)) as crops:
            for position, (crop, name) in enumerate(zip(crops, names, strict=True)):
                if self._ended.done():
                    break
                offered.append(self._offer(crop, name, partial(done, position)))
                wait([file.accepted for file in offered[-2:-1]])  # one is read, one is encoded
        wait([file.accepted for file in offered[-1:]])
        self._wait_for_answers()
        self._stream.end()
        self._thread.join()
        reason = self._broken()
        outcomes = [self._outcome(file, reason) for file in offered]
        return outcomes + [_unanswered(path, reason) for path in paths[len(offered) :]]

    def _offer(self, crop: Crop, truth: str, done: Callable[[Sent], object]) -> _Offered:
        accepted: Future[Accepted] = Future()
        try:
            track = track_of(crop.path.name)
            if crop.image is None:
                raise InputError(crop.error)
        except InputError as error:
            accepted.set_exception(error)
        else:
            frame = Frame("send", shown(str(crop.path)), crop.image, track, truth=truth)
            accepted = self._pipeline.submit(frame, wants_outcome=True)

        file = _Offered(crop, accepted)

        def decided(future: Future[Accepted]) -> None:
            if future.exception() is None:
                future.result().outcome.add_done_callback(lambda _: done(self._outcome(file)))
            elif isinstance(future.exception(), AirReidError):
                done(self._outcome(file))

        accepted.add_done_callback(decided)
        return file

    def _run(self) -> None:
        try:
            self._stream.run(self._uplink, _WINDOW, None)
        except Exception as error:  # told by :meth:`send`, in its thread
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)
        with self._changed:
            self._changed.notify_all()

    def _answered(self, outcome: Outcome) -> None:
        self._refusals.pop(outcome.sequence, None)
        self._pipeline.publish(self._spool.settle([outcome]))
        with self._changed:
            self._changed.notify_all()

    def _refused(self, outcome: Outcome, news: bool) -> None:
        if news:
            self._tell(
                f"the access point is not ready: {outcome.message}; trying again for "
                f"{_NOT_READY_SECONDS:g} s"
            )
        self._refusals[outcome.sequence] = outcome
        with self._changed:
            self._changed.notify_all()

    def _wait_for_answers(self) -> None:
        """Returns when all is answered, the stream has ended, or the rest was refused for long."""
        until: float | None = None
        with self._changed:
            while self._spool.waiting and not self._ended.done():
                if until is None and len(self._refusals) == self._spool.waiting:
                    until = time.monotonic() + _NOT_READY_SECONDS
                if until is not None and time.monotonic() > until:
                    return
                self._changed.wait(1.0)

    def _broken(self) -> str:
        """Returns why the stream ended. Raises an error that is none of the link."""
        error = self._ended.exception()
        if error is None:
            return "the stream ended early"
        if not isinstance(error, LinkError):
            raise error
        return str(error)

    def _outcome(self, file: _Offered, reason: str = "") -> Sent:
        path = file.crop.path
        error = file.accepted.exception()
        if isinstance(error, AirReidError):
            return Sent(path, None, 0.0, str(error))
        accepted = file.accepted.result()
        outcome = self._refusals.get(accepted.sequence)
        if accepted.outcome.done():
            outcome = accepted.outcome.result()
        if outcome is None:
            return _unanswered(path, reason)
        response = outcome.response
        fine = response.outage or response.status.code == common_pb2.CODE_OK
        return Sent(
            path,
            response,
            outcome.link_ms,
            "" if fine else response.status.message,
            heard_cost(accepted.cost, response),
            file.crop.seconds * 1e3 + accepted.encode_ms,
            self._whole_uses,
        )


def _unanswered(path: Path, reason: str) -> Sent:
    return Sent(path, None, 0.0, f"{path}: not answered: {reason}")


def truths_of(paths: Sequence[Path]) -> list[str]:
    """Returns whom each crop shows, as :func:`truth_of` does."""
    return [truth_of(path) for path in paths]


def truth_of(path: Path) -> str:
    """Returns the subject that a crop shows, by its folders: ``<identity>/<camera>/<image>``.

    Raises :class:`InputError` for a file that lies in no such folders.
    """
    name = path.absolute().parent.parent.name
    if not name:
        raise InputError(f"{path}: --truth reads <identity>/<camera>/<image>; leave it out here")
    return id_of(name)


def unreadable(paths: Sequence[Path]) -> list[Sent]:
    """Returns an outcome for each file that cannot be read, or is no image by its first bytes."""
    reasons = ((path, why_not(path)) for path in paths)
    return [Sent(path, None, 0.0, reason) for path, reason in reasons if reason]


class Listed(NamedTuple):
    """Files that are to be sent."""

    paths: list[Path]
    left_out: list[str]
    """Why files of the folders that are plainly no pictures are not sent."""
    leftovers: int
    """Number of hidden files and of leftovers of systems in the folders."""


def expand(images: Sequence[Path]) -> Listed:
    """Lists the files, and those inside the folders but for hidden ones and leftovers.

    A file of a folder that should be an image and is none comes along and gets its error, like any
    other; what is plainly no picture is left out. Raises :class:`InputError` for a folder without
    an image.
    """
    paths: list[Path] = []
    beside: list[str] = []
    leftovers = 0
    for path in images:
        if not path.is_dir():
            paths.append(path)
            continue
        files = picture_files(path)
        if not files.images:
            others = f" ({files.left_out[0].reason})" if files.left_out else ""
            raise InputError(f"{path}: no image in this folder{others}")
        beside += [file.reason for file in files.left_out if file.is_no_fault]
        faults = [file.path for file in files.left_out if not file.is_no_fault]
        paths += sorted([*files.images, *faults])
        leftovers += files.leftovers
    return Listed(paths, beside, leftovers)
