"""Worker thread that takes everything that waits, up to a limit, as one batch."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from airreid import log

T = TypeVar("T")


class BatchWorker(Generic[T]):
    """A thread and its queue. It never waits for a batch to fill: a lone item starts at once.

    Items are told apart by identity, and stay in their order. One that waits can be taken
    back.
    """

    def __init__(self, name: str, process: Callable[[list[T]], None], max_batch: int) -> None:
        """Starts the thread. ``process(batch)`` should handle its errors; others are logged."""
        self._process = process
        self._max_batch = max_batch
        self._waiting: OrderedDict[int, T] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False
        self._busy = False
        self.lone_item_seconds = math.inf
        """Time that the last item took that was processed alone; infinite before the first."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """Number of items that wait."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being processed."""
        return not (self._busy or self._waiting)

    def put(self, item: T) -> None:
        """Queues an item."""
        with self._changed:
            self._waiting[id(item)] = item
            self._changed.notify()

    def take_back(self, item: T) -> bool:
        """Cancels an item that still waits; returns whether it did."""
        with self._changed:
            return self._waiting.pop(id(item), None) is not None

    def close(self, seconds: float | None = None) -> None:
        """Processes what is waiting, then ends the thread.

        Waits ``seconds`` at most for the end; None waits for ever.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(seconds)

    def _next(self) -> list[T]:
        with self._changed:
            self._busy = False
            while not self._waiting and not self._closed:
                self._changed.wait()
            self._busy = True
            count = min(self._max_batch, len(self._waiting))
            return [self._waiting.popitem(last=False)[1] for _ in range(count)]

    def _run(self) -> None:
        while batch := self._next():
            started = time.perf_counter()
            try:
                self._process(batch)
            except Exception as error:
                log.warning("batch_failed", thread=self._thread.name, error=repr(error))
            if len(batch) == 1:
                self.lone_item_seconds = time.perf_counter() - started
