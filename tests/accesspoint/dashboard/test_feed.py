"""The feed of queries over real HTTP."""

from __future__ import annotations

import http.client
import json
import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI

from accesspoint.dashboard.feed import READERS_MAX, feed_router, frame
from accesspoint.events import Feed

from .support import query, served


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def address(feed: Feed) -> Iterator[str]:
    app = FastAPI()
    app.include_router(feed_router(feed))
    with served(app) as address:
        yield address


class Reader:
    """Reads events from the stream as a browser does."""

    def __init__(self, address: str, replay: int) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
        self._connection.request("GET", f"/v1/events?replay={replay}")
        self.response = self._connection.getresponse()
        self._lines = iter(self.response)
        assert next(self._lines) == b"retry: 2000\n"  # it is subscribed from here on
        assert next(self._lines) == b"\n"

    def next(self) -> dict[str, Any]:
        assert next(self._lines) == b"event: query\n"
        data = next(self._lines)
        assert next(self._lines) == b"\n"
        found = json.loads(data.removeprefix(b"data: "))
        assert isinstance(found, dict)
        return found

    def close(self) -> None:
        self.response.close()
        self._connection.close()


def test_past_events_first_then_those_that_come(feed: Feed, address: str) -> None:
    for number in range(5):
        feed.publish(query(number))
    reader = Reader(address, replay=2)
    assert reader.response.headers["content-type"].startswith("text/event-stream")
    assert reader.response.headers["cache-control"] == "no-store"
    assert [reader.next()["sequence"] for _ in range(2)] == [3, 4]
    late = query(9, edge_id="line\nbreak", subject="é")
    feed.publish(late)
    assert reader.next() == late
    reader.close()


def test_readers_are_bounded(feed: Feed, address: str) -> None:
    readers = [Reader(address, replay=0) for _ in range(READERS_MAX)]
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    connection.request("GET", "/v1/events")
    assert connection.getresponse().status >= 400
    connection.close()
    feed.publish(query(1))
    assert all(reader.next()["sequence"] == 1 for reader in readers)
    for reader in readers:
        reader.close()


@pytest.mark.parametrize("replay", ["-1", "201", "x"])
def test_replay_is_bounded(address: str, replay: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    connection.request("GET", f"/v1/events?replay={replay}")
    assert connection.getresponse().status == 422
    connection.close()


def test_what_json_has_no_word_for_is_null() -> None:
    odd = query(1, snr_db=math.nan, identities=[{"subject": "p", "score": math.inf}])
    text = frame(odd)
    data = json.loads(text.split("\n")[1].removeprefix("data: "), parse_constant=pytest.fail)
    assert data["snr_db"] is None
    assert data["identities"] == [{"subject": "p", "score": None}]
