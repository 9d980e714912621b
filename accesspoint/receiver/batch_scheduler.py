"""Scheduler of computations: a worker thread per scheme, the event loop for a lone item."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from accesspoint.receiver.batch_worker import BatchWorker
from airreid import log

T = TypeVar("T")
SOON_SECONDS = 0.005
"""Longest computation that may hold up the event loop, in seconds."""


class BatchScheduler(Generic[T]):
    """Takes items in one event loop, has them computed and delivers them in that loop.

    Each scheme has a :class:`BatchWorker`, so that a slow scheme holds up no other. An item
    that is alone in flight, of a scheme whose last lone item took ``SOON_SECONDS`` at most,
    is computed in the loop itself: waking another thread and being woken takes half a
    millisecond of a block's two or three. Before that the loop has a turn, which shows what
    else has come, so that what comes together is computed together. Items of one scheme
    stay in their order. Dear items have a worker of their own, which computes one at a time.
    """

    def __init__(
        self,
        compute: Callable[[str, list[T]], None],
        deliver: Callable[[list[T]], None],
        only_one_in_flight: Callable[[], bool],
        is_local: Callable[[str], bool],
        max_batch: int,
    ) -> None:
        """Must be called in the event loop that serves.

        ``compute(scheme_id, items)`` runs in any thread and handles its own errors.
        ``deliver(items)`` runs in the loop, also after a ``compute`` that failed.
        ``is_local(scheme_id)`` says whether a computation waits for nothing but this
        processor.
        """
        self._compute, self._deliver = compute, deliver
        self._only_one_in_flight, self._is_local = only_one_in_flight, is_local
        self._max_batch = max_batch
        self._loop = asyncio.get_running_loop()
        self._workers: dict[tuple[str, bool], BatchWorker[T]] = {}
        """Workers by scheme, and whether their items are dear."""
        self._held = 0
        """Items on their way to :meth:`_start`."""

    def put(self, scheme_id: str, item: T, dear: bool = False) -> None:
        """Schedules an item. ``scheme_id`` must be one of the bundle's."""
        worker = self._worker(scheme_id, dear)
        if dear:
            worker.put(item)
            return
        quick = self._only_one_in_flight() and worker.lone_item_seconds <= SOON_SECONDS
        if self._held or (quick and self._is_local(scheme_id)):
            self._held += 1
            self._loop.call_soon(self._start, scheme_id, worker, item)
        else:
            worker.put(item)

    def take_back(self, scheme_id: str, item: T) -> bool:
        """Cancels an item that still waits for its worker; returns whether it did."""
        workers = (self._workers.get((scheme_id, dear)) for dear in (False, True))
        return any(worker is not None and worker.take_back(item) for worker in workers)

    def close(self) -> None:
        """Computes what is waiting, then ends the threads."""
        for worker in self._workers.values():
            worker.close()

    def _start(self, scheme_id: str, worker: BatchWorker[T], item: T) -> None:
        self._held -= 1
        if not (self._only_one_in_flight() and worker.idle):
            worker.put(item)
            return
        started = time.perf_counter()
        try:
            self._compute(scheme_id, [item])
        except Exception as error:
            log.warning("batch_failed", thread="event loop", error=repr(error))
        worker.lone_item_seconds = time.perf_counter() - started
        self._deliver([item])

    def _worker(self, scheme_id: str, dear: bool) -> BatchWorker[T]:
        worker = self._workers.get((scheme_id, dear))
        if worker is None:

            def process(batch: list[T]) -> None:
                try:
                    self._compute(scheme_id, batch)
                finally:
                    with contextlib.suppress(RuntimeError):  # the loop has ended
                        self._loop.call_soon_threadsafe(self._deliver, batch)

            name = f"receiver {scheme_id}" + " dear" * dear
            worker = BatchWorker(name, process, 1 if dear else self._max_batch)
            self._workers[scheme_id, dear] = worker
        return worker
