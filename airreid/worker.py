"""Thread that takes whatever is waiting: batches grow with the load alone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from airreid import log

T = TypeVar("T")


class Worker(Generic[T]):
    """Worker thread that never waits for a batch to fill: a lone item is processed at once."""

    def __init__(self, name: str, process: Callable[[list[T]], None], max_batch: int) -> None:
        """``process`` handles its own errors; one that comes out of it is logged."""
        self._process = process
        self._max_batch = max_batch
        self._queue: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        self._queue.put(item)

    def close(self, seconds: float | None = None) -> None:
        """Processes what is waiting, then ends the thread; waits for that ``seconds`` at most."""
        self._queue.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, ended = [first], False
            while len(batch) < self._max_batch:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    ended = True
                    break
                batch.append(item)
            try:
                self._process(batch)
            except Exception as error:  # the thread must outlive one bad batch
                log.warning("worker_failed", worker=self._thread.name, error=repr(error))
            if ended:
                return
