"""A lane for each scheme, and the short way past it for a block that is alone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from accesspoint.receiver.batch_worker import Lane
from airreid import log

T = TypeVar("T")
SOON_SECONDS = 0.005
"""Other streams may well wait so long for their turn of the event loop."""


class Lanes(Generic[T]):
    """Takes items in one event loop, computes them in the lanes' threads and has them delivered
    in the loop again.

    An item that is the only one, where the last such one took ``SOON_SECONDS`` at most, is
    computed in the loop itself: waking another thread and being woken takes half a
    millisecond of a block's two or three. Before that the loop has a turn, which shows what
    else has come, so that what comes together is computed together. Items of one scheme
    stay in their order.
    """

    def __init__(
        self,
        compute: Callable[[str, list[T]], None],
        deliver: Callable[[list[T]], None],
        alone: Callable[[], bool],
        at_hand: Callable[[str], bool],
        max_batch: int,
    ) -> None:
        """``compute`` (of a scheme's items) handles its own errors; ``alone`` says whether there
        is but one item under way, ``at_hand`` whether a scheme's items wait for nothing but
        the processor."""
        self._compute, self._deliver = compute, deliver
        self._alone, self._at_hand = alone, at_hand
        self._max_batch = max_batch
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[str, Lane[T]] = {}
        self._held = 0
        """Items on their way to :meth:`_start`."""

    def put(self, scheme_id: str, item: T) -> None:
        """``scheme_id``: one of the bundle's."""
        lane = self._lane(scheme_id)
        soon = self._alone() and lane.lone_seconds <= SOON_SECONDS
        if self._held or (soon and self._at_hand(scheme_id)):
            self._held += 1
            self._loop.call_soon(self._start, scheme_id, lane, item)
        else:
            lane.put(item)

    def take_back(self, scheme_id: str, item: T) -> bool:
        """True if the item waited in its lane; it will not be computed then."""
        lane = self._lanes.get(scheme_id)
        return lane is not None and lane.take_back(item)

    def close(self) -> None:
        """Computes what is waiting, then ends the threads."""
        for lane in self._lanes.values():
            lane.close()

    def _start(self, scheme_id: str, lane: Lane[T], item: T) -> None:
        self._held -= 1
        if not (self._alone() and lane.idle):
            lane.put(item)
            return
        started = time.perf_counter()
        try:
            self._compute(scheme_id, [item])
        except Exception as error:
            log.warning("lane_failed", thread="event loop", error=repr(error))
        lane.lone_seconds = time.perf_counter() - started
        self._deliver([item])

    def _lane(self, scheme_id: str) -> Lane[T]:
        lane = self._lanes.get(scheme_id)
        if lane is None:

            def process(batch: list[T]) -> None:
                try:
                    self._compute(scheme_id, batch)
                finally:
                    with contextlib.suppress(RuntimeError):  # the loop has ended
                        self._loop.call_soon_threadsafe(self._deliver, batch)

            lane = Lane(f"receiver {scheme_id}", process, self._max_batch)
            self._lanes[scheme_id] = lane
        return lane
