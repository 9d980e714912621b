"""Links changed over gRPC and watched, by the client that the commands use."""

from __future__ import annotations

import asyncio
import urllib.request

import grpc
import pytest
from grpc import aio

from airreid.channels.settings import LinkSettings
from airreid.client import ChannelClient
from airreid.errors import InputError, LinkError
from airreid.v1 import channel_pb2, channel_pb2_grpc, uplink_pb2_grpc
from channel_sim.links import Links
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
