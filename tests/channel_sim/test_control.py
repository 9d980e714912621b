"""Links changed over gRPC and watched, by the client that the commands use."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import urllib.request
from typing import Any, cast

import grpc
import pytest
from grpc import aio

from airreid.channels.settings import LinkSettings
from airreid.client import ChannelClient
from airreid.errors import InputError, LinkError
from airreid.v1 import channel_pb2, channel_pb2_grpc, uplink_pb2_grpc
from channel_sim.control import ChannelControl
from channel_sim.links import OWN_MAX, Links
from channel_sim.messages import StatsMessages
from channel_sim.metrics import serve_metrics

from .conftest import Radio, block

Settings = channel_pb2.LinkSettings


async def test_set_show_reset_and_list(radio: Radio) -> None:
    def by_hand() -> None:
        with ChannelClient(radio.target) as client:
            got = client.change(Settings(snr_db=-3), "cam-1")
            assert got == Settings(model="awgn", snr_db=-3, seed=1)
            got = client.change(Settings(model="rayleigh", csi=False), "cam-1")
            assert got == Settings(model="rayleigh", snr_db=-3, seed=1, csi=False, doppler=0)
            listed = client.links()
            assert listed.default_settings == Settings(model="awgn", snr_db=5, seed=1)
            assert dict(listed.links) == {"cam-1": got}
            client.set_link(0.0, seed=0, link="cam-2")
            assert client.links().links["cam-2"] == Settings(model="awgn", snr_db=0, seed=0)
            client.change(Settings(snr_range_db=channel_pb2.SnrRange(low=-5, high=5)))
            assert client.reset("cam-1") == client.links().default_settings
            assert client.reset() == Settings(model="awgn", snr_db=5, seed=1)
            assert list(client.links().links) == ["cam-2"]
            for wrong, says in (
                (Settings(model="rain"), "link model"),
                (Settings(snr_db=1000), "link snr_db"),
                (Settings(k_factor_db=3), "belongs to rician"),
                (Settings(snr_trace=channel_pb2.SnrTrace(name="t")), "trace t: no rows"),
            ):
                with pytest.raises(LinkError, match=f"invalid_argument: .*{says}"):
                    client.change(wrong)
            assert client.reset() == Settings(model="awgn", snr_db=5, seed=1)

    await asyncio.to_thread(by_hand)


async def test_settings_change_while_blocks_fly(radio: Radio) -> None:
    async with aio.insecure_channel(radio.target) as channel:
        call = uplink_pb2_grpc.UplinkServiceStub(channel).Query()
        control = channel_pb2_grpc.ChannelControlServiceStub(channel)
        reported = []
        for i, snr_db in enumerate((5.0, -3.0, 12.0)):
            if i:
                request = channel_pb2.SetLinkRequest(link="cam", settings=Settings(snr_db=snr_db))
                await control.SetLink(request)
            await call.write(block("cam", i))
            answer = await call.read()
            reported.append(answer.channel.snr_db)
        await call.done_writing()
        assert await call.read() is aio.EOF
    assert reported == [5, -3, 12]


async def test_stats_stream_until_the_service_ends(radio: Radio) -> None:
    for i in range(40):
        radio.links.transmit(block("a", i))
    radio.links.transmit(block("b", 0))
    async with aio.insecure_channel(radio.target) as channel:
        control = channel_pb2_grpc.ChannelControlServiceStub(channel)
        call = control.WatchStats(channel_pb2.WatchStatsRequest(interval_seconds=0.1))
        first = await call.read()
        assert [(row.link, row.blocks) for row in first.links] == [("a", 40), ("b", 1)]
        assert first.links[0].measured_snr_db == pytest.approx(5, abs=0.5)
        assert first.links[0].uses == 40 * 256
        radio.links.transmit(block("b", 1))
        assert (await call.read()).links[1].blocks == 2
        only = control.WatchStats(channel_pb2.WatchStatsRequest(link="b"))
        assert [row.link for row in (await only.read()).links] == ["b"]
        radio.stop.set()
        async with asyncio.timeout(20):
            while await call.read() is not aio.EOF:
                pass
        for seconds in (0.01, -1, float("nan"), 1e9):
            wrong = control.WatchStats(channel_pb2.WatchStatsRequest(interval_seconds=seconds))
            with pytest.raises(aio.AioRpcError, match="interval_seconds") as error:
                await wrong.read()
            assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_prometheus_reads_the_sums() -> None:
    links = Links(LinkSettings(snr_db=5, seed=1))
    for i in range(50):
        links.transmit(block('ca"m', i))
    links.stats.upstream_errors = 3
    with serve_metrics("127.0.0.1:0", links.stats) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        with pytest.raises(InputError, match="cannot serve metrics on 127"):
            serve_metrics(f"127.0.0.1:{port}", links.stats).__enter__()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    label = '{link="ca\\"m"}'
    assert float(values[f"airreid_channel_blocks_total{label}"]) == 50
    assert float(values[f"airreid_channel_lost_total{label}"]) == 0
    assert float(values[f"airreid_channel_measured_snr_db{label}"]) == pytest.approx(5, abs=0.4)
    assert float(values[f"airreid_channel_mean_gain{label}"]) == 1
    assert float(values["airreid_channel_upstream_errors_total"]) == 3


async def test_streams_have_their_turn_while_many_links_are_listed() -> None:
    links, turns = Links(LinkSettings()), 0
    for number in range(OWN_MAX):
        links.change(f"cam-{number}", {"seed": number})
    control = ChannelControl(links, asyncio.Event())
    request, context = channel_pb2.ListLinksRequest(), cast(Any, None)
    listing = [asyncio.create_task(control.ListLinks(request, context)) for _ in range(2)]
    while not all(task.done() for task in listing):
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 2 * OWN_MAX / 16  # one caller after another, 16 links at a time
    assert all(len(task.result().links) == OWN_MAX for task in listing)


def test_rows_of_sums_are_made_anew_only_after_a_block() -> None:
    links = Links(LinkSettings())
    messages = StatsMessages(links.stats)
    for edge in ("a", "b"):
        links.transmit(block(edge, 0))
    before = messages.make()
    rows = dict(messages._rows)
    assert messages.make() == before
    links.transmit(block("b", 1))
    assert [row.blocks for row in messages.make().links] == [1, 2]
    assert [row.blocks for row in messages.make("b").links] == [2]
    assert messages._rows["a"] is rows["a"]
    assert messages._rows["b"] is not rows["b"]


async def test_a_trace_that_is_refused_is_not_kept(radio: Radio) -> None:
    """A refusal and its call refer to each other, so what its frames hold would stay."""
    wrong = Settings(snr_trace=channel_pb2.SnrTrace(blocks=range(50_000), snr_db=[1.0] * 50_000))
    wrong.snr_trace.snr_db[-1] = 1e9
    gc.disable()
    tracemalloc.start()
    try:
        async with aio.insecure_channel(radio.target) as channel:
            control = channel_pb2_grpc.ChannelControlServiceStub(channel)
            for number in range(6):
                if number == 1:
                    before, _ = tracemalloc.get_traced_memory()
                call = control.SetLink(channel_pb2.SetLinkRequest(link="a", settings=wrong))
                assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
            after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert after - before < 5 * 400_000  # less than an array of each
