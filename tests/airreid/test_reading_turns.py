"""Long messages take turns; short ones wait for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from airreid.reading_turns import LONG_BYTES, PacedStream, ReadingTurns

LONG = bytes(LONG_BYTES + 1)


async def of(*messages: bytes) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


class Wire:
    """Messages that come when the test says so."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[bytes] = asyncio.Queue()
        self.is_read = False

    def __aiter__(self) -> Wire:
        return self

    async def __anext__(self) -> bytes:
        self.is_read = True
        return await self.came.get()


def test_short_messages_take_no_turns() -> None:
    async def run() -> None:
        turns, wires = ReadingTurns(), [Wire() for _ in range(3)]
        reads = [asyncio.create_task(turns.read(wire)) for wire in wires]
        await asyncio.sleep(0)
        assert all(wire.is_read for wire in wires)
        for wire in wires:
            wire.came.put_nowait(bytes(LONG_BYTES))
        await asyncio.gather(*reads)
        assert not turns.taken
        assert await turns.read(of()) is None

    asyncio.run(run())


def test_after_a_long_message_reads_wait_for_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    async def run() -> None:
        turns = ReadingTurns(LONG_BYTES + 1, lambda: now[0])
        monkeypatch.setattr(asyncio, "sleep", sleep)
        for _ in range(3):
            assert await turns.read(of(LONG)) == LONG
        assert await turns.read(of(b"short")) == b"short"
        assert slept == [1.0, 1.0, 1.0]
        assert turns.taken
        now[0] += 1.0
        assert not turns.taken
        assert await turns.read(of(b"short")) == b"short"
        assert len(slept) == 3

    asyncio.run(run())


def test_one_reads_at_a_time_while_long_messages_come() -> None:
    async def run() -> None:
        turns, wires = ReadingTurns(1 << 40), [Wire(), Wire()]
        await turns.read(of(LONG))
        reads = [asyncio.create_task(turns.read(wire)) for wire in wires]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [wire.is_read for wire in wires] == [True, False]
        wires[0].came.put_nowait(b"a")
        assert await reads[0] == b"a"
        wires[1].came.put_nowait(b"b")
        assert await reads[1] == b"b"

    asyncio.run(run())


def test_a_message_that_does_not_come_holds_up_nobody() -> None:
    async def run() -> None:
        turns, silent = ReadingTurns(1 << 40), Wire()
        await turns.read(of(LONG))
        waiting = asyncio.create_task(turns.read(silent))
        assert await turns.read(of(b"a")) == b"a"
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await turns.read(of(b"b")) == b"b"

    asyncio.run(run())


def test_a_read_that_is_cancelled_in_its_turn_passes_it_on() -> None:
    async def run() -> None:
        turns = ReadingTurns(1)  # a long message takes days
        await turns.read(of(LONG))
        reads = [asyncio.create_task(turns.read(of(b"a"))) for _ in range(2)]
        for read in reads:
            await asyncio.sleep(0)
            read.cancel()
        await asyncio.wait(reads)
        assert not turns._turn.locked()

    asyncio.run(run())


def test_a_stream_of_short_messages_waits_for_nobody() -> None:
    async def run() -> None:
        turns, wire = ReadingTurns(1), Wire()
        stream = PacedStream(wire, turns)
        for _ in range(4):
            wire.came.put_nowait(b"short")
            assert await anext(stream) == b"short"
        await turns.read(of(LONG))
        wire.came.put_nowait(b"short")
        assert await anext(stream) == b"short"
        wire.came.put_nowait(LONG)
        assert await anext(stream) == LONG
        wire.came.put_nowait(b"short")
        late = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        assert not late.done(), "one long message, and it waits like others"
        late.cancel()

    asyncio.run(run())


def test_a_stream_ends_where_its_messages_do() -> None:
    async def run() -> list[bytes]:
        return [message async for message in PacedStream(of(b"a", b"b"), ReadingTurns())]

    assert asyncio.run(run()) == [b"a", b"b"]
