"""Work that is done over and over beside a gallery on Milvus."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from airreid import log
from airreid.errors import AirReidError

_ROUND_S = 1.0


class Rounds:
    """Does something every second until closed, and knows why it last failed."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._work = work
        self._name = name
        self._stop = threading.Event()
        self.failure: str = "not asked yet"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def wait(self, ready: Callable[[], bool], timeout_s: float | None) -> bool:
        """Waits until something is so, or closed; whether it is so."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not ready() and (end is None or time.monotonic() < end):
            if self._stop.wait(0.1):
                break
        return ready()

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while True:
            self.now()
            if self._stop.wait(_ROUND_S):
                return

    def now(self) -> None:
        try:
            self._work()
        except Exception as error:
            failure = str(error) if isinstance(error, AirReidError) else type(error).__name__
            if failure != self.failure and not self._stop.is_set():
                log.warning(self._name, error=failure)
            self.failure = failure
        else:
            self.failure = ""

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
