"""Feed of events at the access point, as they happen, for the dashboard's readers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from types import TracebackType
from typing import Any, Self

from accesspoint.tally import Tally

Event = dict[str, Any]


class Subscription:
    """One reader's events: a context manager and an async iterator, in one event loop.

    A reader that is too slow loses the oldest of those that wait for it.
    """

    def __init__(self, feed: Feed, waiting: deque[Event]) -> None:
        self._feed = feed
        self._waiting = waiting
        self._loop = asyncio.get_running_loop()
        self._event_waits = asyncio.Event()
        if waiting:
            self._event_waits.set()
        self._closed = False
        self.lost = 0
        """Number of events that this reader was too slow for."""

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
        """Ends the iteration."""
        self._feed.forget(self)
        self._closed = True
        self._event_waits.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._event_waits.clear()
            if not self._waiting:
                await self._event_waits.wait()
        return self._waiting.popleft()

    def take_waiting(self) -> list[Event]:
        """Takes the events that wait now, the oldest first."""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def offer(self, event: Event) -> None:
        """Queues an event; called by the feed, under its lock, in any thread."""
        if len(self._waiting) == self._waiting.maxlen:
            self.lost += 1
        self._waiting.append(event)
        if not self._event_waits.is_set():  # the reader clears it, then looks once more
            with contextlib.suppress(RuntimeError):  # its loop has ended
                self._loop.call_soon_threadsafe(self._event_waits.set)


class Feed:
    """Distributor of events that remembers the last ones; safe in any thread."""

    def __init__(self, remembered: int = 200, waiting: int = 256) -> None:
        """``remembered``: events that a new subscriber may ask for; ``waiting``: events that
        wait for a slow one."""
        self._lock = threading.Lock()
        self._recent: deque[Event] = deque(maxlen=remembered)
        self._max_waiting = waiting
        self._subscribers: list[Subscription] = []
        self._tally = Tally()
        self.published = 0

    def publish(self, event: Event) -> None:
        """Passes an event on to all subscribers. It must not be changed afterwards."""
        with self._lock:
            self.published += 1
            self._recent.append(event)
            if event.get("type") == "query":
                self._tally.add(event)
            for subscriber in self._subscribers:
                subscriber.offer(event)

    def recent(self) -> list[Event]:
        """Returns the last events, the oldest first."""
        with self._lock:
            return list(self._recent)

    def subscribe(self, replay: int = 0, tally: bool = False) -> Subscription:
        """Subscribes to events from now on.

        Up to ``replay`` of the last ones come before them, then with ``tally`` the sums of all
        that were published until now (:meth:`accesspoint.tally.Tally.event`).
        """
        with self._lock:
            last = list(self._recent)[-replay:] if replay > 0 else []
            if tally:
                last.append(self._tally.event())
            subscription = Subscription(self, deque(last, maxlen=self._max_waiting))
            self._subscribers.append(subscription)
            return subscription

    def close(self) -> None:
        """Ends all subscriptions; call it in their event loop."""
        with self._lock:
            subscribers = list(self._subscribers)
        for subscriber in subscribers:
            subscriber.close()

    def forget(self, subscription: Subscription) -> None:
        """Removes a subscription, if it is there."""
        with self._lock:
            if subscription in self._subscribers:
                self._subscribers.remove(subscription)
