"""A slow link: blocks take their time on the air, words come later, and nothing else changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc import aio

from airreid.v1 import uplink_pb2_grpc
from channel_sim.delay import Air, DelaySettings, later

from .conftest import Radio, Request, Response, block, radio_between

EARLY = 0.99
"""A clock may be read as coarsely as that."""
SLOW = DelaySettings(round_trip_ms=150.0, symbol_rate=2000.0)


@pytest.fixture
async def slow() -> AsyncIterator[Radio]:
    async with radio_between(delay=SLOW) as between:
        yield between


async def sent(radio: Radio, *links: str, uses: int = 64) -> tuple[list[Response], float]:
    """Answers to a block of each link, on one stream, and the seconds until the last."""

    async def blocks() -> AsyncIterator[Request]:
        for number, link in enumerate(links):
            yield block(link, number, uses)

    began = time.perf_counter()
    async with aio.insecure_channel(radio.target) as channel:
        stub = uplink_pb2_grpc.UplinkServiceStub(channel)
        answers = [answer async for answer in stub.Query(blocks())]
    return answers, time.perf_counter() - began


async def test_blocks_take_turns_on_the_air_and_answers_a_round_trip(slow: Radio) -> None:
    answers, seconds = await sent(slow, *["cam"] * 5)
    assert [answer.id.sequence for answer in answers] == list(range(5))
    assert seconds >= EARLY * (5 * 64 / 2000 + 0.15)
    assert slow.links.stats.of("cam").blocks == 5
    assert slow.links.stats.streams == 0


async def test_each_link_has_air_of_its_own() -> None:
    air, loop = Air(1000.0), asyncio.get_running_loop()
    began = loop.time()
    done = dict[str, float]()

    async def carry(link: str, uses: int) -> None:
        await air.carry(block(link, 0, uses))
        done[f"{link} {uses}"] = loop.time() - began

    await asyncio.gather(carry("a", 100), carry("a", 50), carry("b", 40))
    assert done["a 100"] >= EARLY * 0.1
    assert done["a 50"] >= EARLY * 0.15
    assert list(done) == ["b 40", "a 100", "a 50"]


async def test_what_has_no_symbols_takes_no_air() -> None:
    air = Air(1e-6)
    for request in (Request(), Request(settled_only=True)):
        await asyncio.wait_for(air.carry(request), 30)
    packet = Request()
    packet.ideal.uses = 2**32 - 1  # more than any block has: the air is not lost for days
    air = Air(1e7)
    await asyncio.wait_for(air.carry(packet), 60)
    packet.ideal.uses = 30
    air = Air(1000.0)
    began = time.perf_counter()
    await air.carry(packet)
    assert time.perf_counter() - began >= EARLY * 0.03


async def test_a_failure_passes_as_it_is(slow: Radio) -> None:
    slow.ap.fail["cam"] = grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(aio.AioRpcError) as error:
        await sent(slow, "cam")
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.value.details() == "as the test wants"


async def test_an_edge_that_hangs_up_leaves_nothing_behind(slow: Radio) -> None:
    slow.ap.hold["cam"] = asyncio.Event()
    sending = asyncio.create_task(sent(slow, "cam", "cam"))
    while not slow.ap.read:
        await asyncio.sleep(0.01)
    sending.cancel()

    def reads_on() -> bool:
        return any("later" in repr(task.get_coro()) for task in asyncio.all_tasks())

    async with asyncio.timeout(20):
        while slow.links.stats.streams or reads_on():
            await asyncio.sleep(0.01)


async def test_messages_that_came_before_an_end_are_still_yielded() -> None:
    async def messages() -> AsyncIterator[bytes]:
        yield b"1"
        yield b"2"
        raise ValueError("over")

    came = later(messages(), 0.02)
    assert [await anext(came), await anext(came)] == [b"1", b"2"]
    with pytest.raises(ValueError, match="over"):
        await anext(came)
