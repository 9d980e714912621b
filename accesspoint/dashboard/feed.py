"""Server-sent events of queries as they are answered."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from accesspoint.errors import RateLimitedError
from accesspoint.events import Event, Feed

READERS_MAX = 32
"""Readers at once; each holds a connection for as long as it looks on."""
REPLAY_MAX = 200
"""Past events that a reader may ask for."""
RECHECK_SECONDS = 1.0
"""Time after which a reader's token is checked again, as a camera's is."""
PAUSE_SECONDS = 0.1
"""Time after what was sent, before more is: what comes meanwhile goes out together."""
_TEXTS_MAX = 512
"""Events whose text is remembered for other readers: those that are replayed, and more."""
BEAT_SECONDS = 10.0
"""Time without an event after which a comment is sent, so that a dead connection is noticed."""


def _plain(value: object) -> object:
    """Replaces floats that JSON lacks by None: a camera may send what it likes."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(field) for key, field in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def frame(event: Event) -> str:
    """Formats an event for text/event-stream; its JSON has no line break."""
    data = json.dumps(_plain(event), allow_nan=False)
    return f"event: {event.get('type', 'message')}\ndata: {data}\n\n"


class _Texts:
    """Events as text, each made once for all readers; in one event loop."""

    def __init__(self) -> None:
        self._texts: OrderedDict[int, tuple[Event, str]] = OrderedDict()
        """Event and text by the event's identity, which is its own while it is held here."""

    def of(self, events: Iterable[Event]) -> str:
        """Returns events one after another."""
        return "".join(self._of(event) for event in events)

    def _of(self, event: Event) -> str:
        known = self._texts.get(id(event))
        if known is None:
            known = self._texts[id(event)] = event, frame(event)
            if len(self._texts) > _TEXTS_MAX:
                self._texts.popitem(last=False)
        return known[1]


def feed_router(feed: Feed) -> APIRouter:
    """Makes the route ``GET /v1/events``."""
    router = APIRouter(tags=["dashboard"])
    readers: set[object] = set()
    texts = _Texts()

    async def stream(replay: int, may_go_on: Callable[[], bool]) -> AsyncIterator[str]:
        reader = object()
        readers.add(reader)
        try:
            with feed.subscribe(replay, tally=True) as events:
                yield "retry: 2000\n\n"
                checked = time.monotonic()
                while True:
                    event = None
                    try:
                        async with asyncio.timeout(BEAT_SECONDS):
                            event = await anext(events)
                    except TimeoutError:
                        pass
                    except StopAsyncIteration:
                        return
                    if time.monotonic() - checked > RECHECK_SECONDS:
                        if not may_go_on():
                            return
                        checked = time.monotonic()
                    if event is None:
                        yield ": still here\n\n"
                        continue
                    yield texts.of([event, *events.take_waiting()])
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            readers.discard(reader)

    @router.get("/v1/events", include_in_schema=False)  # OpenAPI has no word for an endless answer
    async def events(
        request: Request,
        replay: Annotated[int, Query(ge=0, le=REPLAY_MAX, description="Past events first.")] = 100,
    ) -> StreamingResponse:
        """Streams answered queries: outcome, ranked subjects, SNR, times; never a feature or image.

        First past ones, then one event ``tally`` with the sums of all before, then new ones.
        """
        if len(readers) >= READERS_MAX:
            raise RateLimitedError(f"{READERS_MAX} readers look on already; close one")
        may_go_on = request.scope.get("state", {}).get("may_go_on", lambda: True)
        return StreamingResponse(
            stream(replay, may_go_on),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return router
