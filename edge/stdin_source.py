"""Frames from standard input: paths of image files, one a line."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

from airreid import log
from airreid.errors import InputError
from airreid.images import read
from edge.folder import shown
from edge.frames import ClosedError, EncodeError, Frame, SpoolDiskError, SpoolFullError, track_of
from edge.metrics import Metrics
from edge.pipeline import Accepted, Pipeline

_UNDER_WAY = 16
"""Files that are read ahead of the verdict on their frames."""
_LINE_MAX = 8192
"""Longest line, in bytes; no path is as long."""
_RETRY_SECONDS = 0.5
"""Pause before a frame that found no room is offered again."""


class StdinSource:
    """One thread that reads lines and hands over the files that they name, until the input ends.

    A file that cannot be used is logged and passed over. When the spool is full, lines stay
    in the pipe.
    """

    def __init__(
        self, fd: int, pipeline: Pipeline, metrics: Metrics, ended: Callable[[], None]
    ) -> None:
        """``ended`` is called when the input has ended and all of it is accepted."""
        self._fd = fd
        self._pipeline = pipeline
        self._metrics = metrics
        self._ended = ended
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stdin", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after the files that are under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30.0)

    def _run(self) -> None:
        under_way: deque[tuple[Frame, Future[Accepted]]] = deque()
        try:
            for line in self._lines():
                frame = self._frame(line)
                if frame is not None:
                    under_way.append((frame, self._pipeline.submit(frame)))
                while len(under_way) >= _UNDER_WAY or (under_way and under_way[0][1].done()):
                    self._finish(*under_way.popleft())
        except OSError as error:  # the terminal or the pipe is gone: as if it had ended
            log.warning("input_failed", reason=error.strerror)
        while under_way:
            self._finish(*under_way.popleft())
        if not self._stop.is_set():
            log.event("input_ended")
            self._ended()

    def _lines(self) -> Iterator[bytes]:
        """Lines without their end, until the input ends or ``stop`` is called."""
        rest = b""
        while not self._stop.is_set():
            if not select.select([self._fd], [], [], 0.2)[0]:
                continue
            data = os.read(self._fd, 65536)
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[: _LINE_MAX + 1]  # what is longer is no path, and is not kept
            for line in [*lines, *([] if data else [rest])]:
                if self._stop.is_set():
                    return
                if len(line) > _LINE_MAX:
                    self._rejected(shown(os.fsdecode(line[:80])), "longer than any path")
                elif line.strip():
                    yield line.rstrip(b"\r")
            if not data:
                return

    def _frame(self, line: bytes) -> Frame | None:
        path = Path(os.fsdecode(line))
        name = shown(path.name)
        try:
            return Frame("stdin", name, read(path), track_of(name))
        except (InputError, ValueError) as error:  # ValueError: a zero byte in the path
            self._rejected(name, str(error))
            return None

    def _finish(self, frame: Frame, future: Future[Accepted]) -> None:
        """Waits for the verdict; offers the frame again where it asks for that."""
        while True:
            try:
                future.result()
            except (InputError, EncodeError) as error:
                self._rejected(frame.name, str(error))
            except (SpoolFullError, SpoolDiskError):
                if not self._stop.wait(_RETRY_SECONDS):
                    future = self._pipeline.submit(frame)
                    continue
                log.warning("frame_not_accepted", file=frame.name, reason="the edge is ending")
            except ClosedError as error:
                log.warning("frame_not_accepted", file=frame.name, reason=str(error))
            return

    def _rejected(self, name: str, reason: str) -> None:
        self._metrics.rejected.labels("stdin").inc()
        log.warning("frame_rejected", file=name, reason=reason)
