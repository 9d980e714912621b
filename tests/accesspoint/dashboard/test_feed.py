"""The feed of queries over real HTTP."""

from __future__ import annotations

import http.client
import json
import math
import random
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI

from accesspoint.api.auth import Access
from accesspoint.api.guard import Guard
from accesspoint.api.metrics import Metrics
from accesspoint.api.tokens import Scope, TokenFile
from accesspoint.dashboard.feed import READERS_MAX, feed_router, frame
from accesspoint.events import Event, Feed

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

    def __init__(self, address: str, replay: int, **headers: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
        self._connection.request("GET", f"/v1/events?replay={replay}", headers=headers)
        self.response = self._connection.getresponse()
        self._lines = iter(self.response)
        assert next(self._lines) == b"retry: 2000\n"  # it is subscribed from here on
        assert next(self._lines) == b"\n"

    def next(self, kind: str = "query") -> dict[str, Any]:
        assert next(self._lines) == f"event: {kind}\n".encode()
        data = next(self._lines)
        assert next(self._lines) == b"\n"
        event = json.loads(data.removeprefix(b"data: "))
        assert isinstance(event, dict)
        return event

    def close(self) -> None:
        self.response.close()
        self._connection.close()


def test_past_events_first_then_those_that_come(feed: Feed, address: str) -> None:
    for number in range(5):
        feed.publish(query(number))
    with closing(Reader(address, replay=2)) as reader:
        assert reader.response.headers["content-type"].startswith("text/event-stream")
        assert reader.response.headers["cache-control"] == "no-store"
        assert [reader.next()["sequence"] for _ in range(2)] == [3, 4]
        assert reader.next("tally")["queries"] == 5
        late = query(9, edge_id="line\nbreak", subject="é")
        feed.publish(late)
        assert reader.next() == late


def test_the_sums_are_of_all_queries_not_of_those_remembered(feed: Feed, address: str) -> None:
    draw = random.Random(3)
    sent = []
    for number in range(500):
        truth = draw.choice([None, "p1", "p2"])
        outage = draw.random() < 0.2
        snr_db = draw.choice([None, draw.uniform(-5, 5)])
        code = "outage" if outage else draw.choice(["ok", "ok", "dropped"])
        edge = f"cam-{draw.randrange(60)}"
        sent.append(
            query(number, truth=truth, outage=outage, snr_db=snr_db, code=code, edge_id=edge)
        )
        feed.publish(sent[-1])
    with closing(Reader(address, replay=0)) as reader:
        sums = reader.next("tally")
    judged = [event for event in sent if event["truth"] and event["code"] != "dropped"]
    right = [event for event in judged if event["truth"] == "p1" and not event["outage"]]
    assert (sums["queries"], sums["known"], sums["right"]) == (500, len(judged), len(right))
    assert sums["outcomes"]["refused"] == sum(event["code"] == "dropped" for event in sent)
    for bucket in sums["buckets"]:
        low = bucket["low"]
        inside = [event for event in judged if event["snr_db"] is not None]
        inside = [event for event in inside if low <= event["snr_db"] < low + 2]
        assert bucket["all"] == len(inside)
        assert bucket["right"] == sum(event in right for event in inside)
    assert len(sums["buckets"]) == 6  # -6 to 6 dB
    assert sums["pieces"] == {"blocks": 0, "heard": 0, "whole": 0}
    last = list(dict.fromkeys(event["edge_id"] for event in reversed(sent)))[:50]
    assert [camera["name"] for camera in sums["cameras"]] == last[::-1]


def test_channel_uses_are_summed_of_blocks_that_come_in_pieces(feed: Feed, address: str) -> None:
    for number, uses in enumerate((64, 96, 512)):  # the last one went on by repetition
        feed.publish(query(number, uses=uses, bandwidth=256))
    feed.publish(query(8, uses=None, bandwidth=256, code="dropped"))
    feed.publish(query(9))
    with closing(Reader(address, replay=0)) as reader:
        assert reader.next("tally")["pieces"] == {"blocks": 3, "heard": 672, "whole": 768}


def test_an_event_costs_once_for_all_readers(
    feed: Feed, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: list[int] = []

    def counted(event: Event) -> str:
        numbers.append(event.get("sequence", -1))
        return frame(event)

    monkeypatch.setattr("accesspoint.dashboard.feed.frame", counted)
    with ExitStack() as stack:
        readers = [stack.enter_context(closing(Reader(address, replay=0))) for _ in range(8)]
        for reader in readers:
            reader.next("tally")
        for number in range(50):
            feed.publish(query(number))
        for reader in readers:
            assert [reader.next()["sequence"] for _ in range(50)] == list(range(50))
    assert [number for number in numbers if number >= 0] == list(range(50))


def test_events_that_come_together_go_out_together(feed: Feed, address: str) -> None:
    with closing(Reader(address, replay=0)) as reader:
        reader.next("tally")
        for number in range(200):
            feed.publish(query(number))
        pieces = b""
        while b'"sequence": 199' not in pieces:
            pieces += reader.response.fp.read1(1 << 20)
    assert pieces.count(b"event: query") == 200
    chunks = [line for line in pieces.split(b"\r\n") if line and len(line) < 8]
    assert len(chunks) < 20, "each is sent by itself"


def test_readers_are_bounded(feed: Feed, address: str) -> None:
    with ExitStack() as stack:
        readers = [
            stack.enter_context(closing(Reader(address, replay=0))) for _ in range(READERS_MAX)
        ]
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
        stack.callback(connection.close)
        connection.request("GET", "/v1/events")
        assert connection.getresponse().status >= 400
        feed.publish(query(1))
        for reader in readers:
            reader.next("tally")
            assert reader.next()["sequence"] == 1


def test_who_loses_a_token_loses_the_feed(
    feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accesspoint.dashboard.feed.RECHECK_SECONDS", 0.0)
    app, tokens = FastAPI(), TokenFile(tmp_path)
    app.include_router(feed_router(feed))
    shown = {name: f"Bearer {tokens.add(name, [Scope.READ])}" for name in ("goes", "stays")}
    with served(Guard(app, Access(TokenFile(tmp_path), True), Metrics())) as address:
        goes, stays = (Reader(address, 0, Authorization=header) for header in shown.values())
        with closing(goes), closing(stays):
            for reader in (goes, stays):
                reader.next("tally")
            tokens.revoke("goes")
            feed.publish(query(1))
            assert stays.next()["sequence"] == 1
            assert goes.response.read() == b""


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
