"""A task that is repeated in the background beside a gallery on Milvus."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from airreid import log
from airreid.errors import AirReidError

_PERIOD_S = 1.0


class PeriodicTask:
    """Runs a function every second until closed, and keeps why it last failed."""

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self.failure: str = "not asked yet"
        """Reason of the last failure; empty after a run without one."""
        self._name, self._function = name, run
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begins; the first run is at once."""
        self._thread.start()

    def _run(self) -> None:
        while True:
            self.run_now()
            if self._stop.wait(_PERIOD_S):
                return

    def run_now(self) -> None:
        """Runs the function once. A failure goes to the log when it is another than before."""
        try:
            self._function()
        except Exception as error:
            failure = str(error) if isinstance(error, AirReidError) else type(error).__name__
            if failure != self.failure and not self._stop.is_set():
                log.warning(self._name, error=failure)
            self.failure = failure
        else:
            self.failure = ""

    def wait(self, ready: Callable[[], bool], timeout_s: float | None) -> bool:
        """Waits until ``ready``, or closed. Returns whether it is."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not ready() and (end is None or time.monotonic() < end):
            if self._stop.wait(0.1):
                break
        return ready()

    def close(self) -> None:
        """Ends after the run that is under way."""
        self._stop.set()
        self._thread.join()
