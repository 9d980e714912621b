"""The proxy: streams do not wait for one another; deadlines and back-pressure go through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio

from airreid.credentials import ClientCredentials
from airreid.v1 import uplink_pb2, uplink_pb2_grpc
from channel_sim.service import _refusal

from .conftest import Radio, Request, block, radio_between


async def blocks(link: str, count: int, bandwidth: int = 256) -> AsyncIterator[Request]:
    for i in range(count):
        yield block(link, i, bandwidth)


async def answers(
    channel: aio.Channel, link: str, count: int, bandwidth: int = 256
) -> list[uplink_pb2.QueryResponse]:
    stub = uplink_pb2_grpc.UplinkServiceStub(channel)
    return [answer async for answer in stub.Query(blocks(link, count, bandwidth))]


async def test_answers_pass_whole(radio: Radio) -> None:
    async with aio.insecure_channel(radio.target) as channel:
        got = await answers(channel, "cam", 20)
    assert [answer.id.sequence for answer in got] == list(range(20))
    assert all(answer.channel.snr_db == 5 for answer in got)
    assert radio.links.stats.of("cam").blocks == 20
    assert radio.links.stats.streams == 0


async def test_an_edge_whose_answers_are_held_up_does_not_hold_up_others(radio: Radio) -> None:
    radio.ap.hold["slow"] = asyncio.Event()
    async with aio.insecure_channel(radio.target) as channel:
        slow = asyncio.create_task(answers(channel, "slow", 800, 1024))
        while not radio.ap.read.get("slow"):
            await asyncio.sleep(0.01)
        assert radio.links.stats.streams == 1
        async with asyncio.timeout(30):
            assert len(await answers(channel, "quick", 50)) == 50
        assert not slow.done()
        radio.ap.hold["slow"].set()
        assert len(await slow) == 800


async def test_back_pressure_goes_through(radio: Radio) -> None:
    """The access point reads one block and stops: the channel does not swallow the rest."""
    radio.ap.hold["cam"] = asyncio.Event()
    sent, size = 0, 16_384

    async def endless() -> AsyncIterator[Request]:
        nonlocal sent
        for sent in range(100_000):
            yield block("cam", sent, size)

    async with aio.insecure_channel(radio.target) as channel:
        stub = uplink_pb2_grpc.UplinkServiceStub(channel)
        call = stub.Query(endless())
        reader = asyncio.create_task(call.read())
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.5)
        passed = radio.links.stats.of("cam").blocks
        # What gRPC's windows hold at both hops, up to some dozen MB each (they grow with what the
        # machine moves in a round trip), not the 6.5 GB of the stream
        assert passed * 4 * size < 64e6
        assert (sent - passed) * 4 * size < 64e6
        call.cancel()
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def test_a_burst_of_one_edge_leaves_the_others_their_turn(radio: Radio) -> None:
    """The burst lasts until enough single blocks of another edge have come through."""
    enough, most = asyncio.Event(), 20_000

    async def burst() -> AsyncIterator[Request]:
        for number in range(most):
            if enough.is_set():
                return
            yield block("burst", number, 4096)

    async with aio.insecure_channel(radio.target) as channel:
        stub = uplink_pb2_grpc.UplinkServiceStub(channel)
        call = stub.Query(burst())

        async def count_answers() -> int:
            return len([answer async for answer in call])

        counting = asyncio.create_task(count_answers())
        while not radio.ap.read.get("burst"):
            await asyncio.sleep(0.01)
        for _ in range(4):
            assert len(await answers(channel, "single", 1)) == 1
        enough.set()
        assert 0 < await counting < most
    assert radio.links.stats.of("single").blocks == 4


async def test_the_edges_deadline_is_the_access_points(radio: Radio) -> None:
    radio.ap.hold["cam"] = asyncio.Event()
    async with aio.insecure_channel(radio.target) as channel:
        stub = uplink_pb2_grpc.UplinkServiceStub(channel)
        call = stub.Query(blocks("cam", 1), timeout=2.0)
        with pytest.raises(aio.AioRpcError) as error:
            await call.read()
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    [seconds] = radio.ap.seconds
    assert seconds is not None
    assert 0 < seconds < 2.2
    assert radio.links.stats.upstream_errors == 0


async def test_an_edge_that_hangs_up_leaves_nothing_behind(radio: Radio) -> None:
    radio.ap.hold["cam"] = asyncio.Event()
    async with aio.insecure_channel(radio.target) as channel:
        stub = uplink_pb2_grpc.UplinkServiceStub(channel)
        call = stub.Query(blocks("cam", 5))
        while not radio.ap.read:
            await asyncio.sleep(0.01)
        call.cancel()
    async with asyncio.timeout(20):
        while radio.links.stats.streams:
            await asyncio.sleep(0.01)
    assert radio.links.stats.upstream_errors == 0


async def test_a_failing_access_point_is_named_and_counted(radio: Radio) -> None:
    radio.ap.fail["cam"] = grpc.StatusCode.RESOURCE_EXHAUSTED
    radio.ap.fail["gone"] = grpc.StatusCode.UNAVAILABLE
    async with aio.insecure_channel(radio.target) as channel:
        with pytest.raises(aio.AioRpcError) as error:
            await answers(channel, "cam", 1)
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.value.details() == "as the test wants"
        with pytest.raises(aio.AioRpcError, match="access point upstream does not answer"):
            await answers(channel, "gone", 1)
    assert radio.links.stats.upstream_errors == 2


async def test_a_stream_that_breaks_off_upstream_ends(
    radio: Radio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """grpc.aio itself cancels a call to which a request cannot be written; the edge hears of it."""
    query, tasks = radio.proxy._query(""), set[asyncio.Task[None]]()
    radio.ap.hold["cam"] = asyncio.Event()

    def query_that_is_cancelled(*given: Any, **named: Any) -> Any:
        call = query(*given, **named)

        async def cancel() -> None:
            while not radio.ap.read:
                await asyncio.sleep(0.01)
            call.cancel()

        tasks.add(asyncio.create_task(cancel()))
        return call

    monkeypatch.setattr(radio.proxy, "_query", lambda peer: query_that_is_cancelled)
    async with aio.insecure_channel(radio.target) as channel:
        with pytest.raises(aio.AioRpcError, match="broke off; open it again") as error:
            async with asyncio.timeout(20):
                await answers(channel, "cam", 3)
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    assert radio.links.stats.upstream_errors == 1
    assert radio.links.stats.streams == 0


async def test_a_status_that_is_lost_twice_is_none(radio: Radio) -> None:
    """grpc.aio loses a status, and may cancel the call that asks for it again as well."""
    nothing = aio.Metadata()
    lost = aio.AioRpcError(
        grpc.StatusCode.INTERNAL, nothing, nothing, details="Internal error from Core"
    )
    refused = aio.AioRpcError(grpc.StatusCode.NOT_FOUND, nothing, nothing, details="gone")
    query = radio.proxy._query("")
    assert await _refusal(query, refused, nothing) is refused
    assert await _refusal(query, lost, nothing) is None, "the access point refuses nothing"

    def query_that_is_cancelled(*given: Any, **named: Any) -> Any:
        call = query(*given, **named)
        call.cancel()
        return call

    cancelled: Any = query_that_is_cancelled
    assert await _refusal(cancelled, lost, nothing) is None


async def test_a_stream_without_a_token_shows_the_channels_own() -> None:
    """An edge's token passes through, and the channel adds none to it."""
    async with (
        radio_between(ClientCredentials(token="channels-own")) as radio,
        aio.insecure_channel(radio.target) as channel,
    ):
        stub = uplink_pb2_grpc.UplinkServiceStub(channel)
        for metadata in (None, aio.Metadata(("authorization", "Bearer edges")), None):
            call = stub.Query(blocks("cam", 1), metadata=metadata)
            assert len([answer async for answer in call]) == 1
    channels, edges = ["Bearer channels-own"], ["Bearer edges"]
    assert radio.ap.tokens == [channels, edges, channels]


async def test_a_channel_without_credentials_shows_none(radio: Radio) -> None:
    async with aio.insecure_channel(radio.target) as channel:
        await answers(channel, "cam", 1)
    assert radio.ap.tokens == [[]]
