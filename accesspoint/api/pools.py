"""Pools of threads by kind of work, so that one kind never takes the threads of another."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field

from accesspoint.errors import RateLimitedError
from airreid.flags import Settings

Kind = Literal["read", "list", "change", "search", "image", "enrol", "body"]
Answer = TypeVar("Answer")
caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="")
"""Name of the principal whose call is under way."""


class PoolSettings(Settings):
    """Calls of each kind that are worked on at once, and calls that wait for that."""

    read: Annotated[int, Field(ge=1, le=64)] = 4
    """Threads that look up subjects, entries, jobs and the state."""
    change: Annotated[int, Field(ge=1, le=64)] = 2
    """Threads that put, delete and merge, and enrol features."""
    search: Annotated[int, Field(ge=1, le=64)] = 2
    """Threads that search and verify by features."""
    image: Annotated[int, Field(ge=1, le=64)] = 2
    """Threads that search and verify by images."""
    enrol: Annotated[int, Field(ge=1, le=64)] = 2
    """Threads that enrol images."""
    waiting: Annotated[int, Field(ge=1, le=10_000)] = 128
    """Calls of one kind that wait, at most; further ones are told to come again."""
    waiting_images: Annotated[int, Field(ge=1, le=10_000)] = 32
    """Calls with images that wait, of either kind."""


_DEFAULT = PoolSettings()
_NICE = 5
"""Niceness of threads that decode images: cameras go first. One that parses holds the interpreter,
so it is not put off, but sleeps."""


class Places:
    """Places of calls, an eighth of which are for callers that hold fewer than that.

    So a caller that fills all others shuts nobody out.
    """

    def __init__(self, total: int) -> None:
        self._free, self._kept = total, total // 8
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, name: str) -> bool:
        """Takes a place for a caller; returns False where there is none for it."""
        with self._lock:
            if not self._free or (self._free <= self._kept <= self._held[name]):
                return False
            self._free -= 1
            self._held[name] += 1
            return True

    def give_back(self, name: str) -> None:
        """Gives a place of a caller back."""
        with self._lock:
            self._free += 1
            self._held[name] -= 1
            if not self._held[name]:
                del self._held[name]


class _Pool:
    def __init__(self, kind: str, threads: int, waiting: int, heavy: bool = False) -> None:
        start = _step_back if heavy else None
        self.executor = ThreadPoolExecutor(threads, f"api {kind}", start)
        self.places = Places(threads + waiting)


def _step_back() -> None:
    """Lowers the priority of the thread that calls it, where the system has one for threads."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


class Pools:
    """The pools of one access point; :meth:`run` may be awaited in any event loop."""

    def __init__(self, settings: PoolSettings = _DEFAULT) -> None:
        few, many = settings.waiting_images, settings.waiting
        self._pools: dict[Kind, _Pool] = {
            "read": _Pool("read", settings.read, many),
            "list": _Pool("list", 1, many),
            "change": _Pool("change", settings.change, many),
            "search": _Pool("search", settings.search, many),
            "image": _Pool("image", settings.image, few, heavy=True),
            "enrol": _Pool("enrol", settings.enrol, few, heavy=True),
            "body": _Pool("body", 1, few),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Does no more of what waits; what is under way is ended first."""
        for pool in self._pools.values():
            pool.executor.shutdown(cancel_futures=True)

    async def run(self, kind: Kind, work: Callable[[], Answer]) -> Answer:
        """Does the work in a thread of its kind, in the caller's context.

        Work whose caller has gone is not begun. Raises :class:`RateLimitedError` where too
        much of the kind waits.
        """
        pool = self._pools[kind]
        name = caller.get()
        if not pool.places.take(name):
            raise RateLimitedError(f"too many calls of kind {kind} wait; try again in a while")
        context = contextvars.copy_context()
        try:
            future = pool.executor.submit(context.run, work)
        except BaseException:
            pool.places.give_back(name)
            raise
        future.add_done_callback(lambda _: pool.places.give_back(name))
        return await asyncio.wrap_future(future)
