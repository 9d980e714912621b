"""Blocks sent through a link alone meet what uplink blocks of their numbers meet."""

from __future__ import annotations

import asyncio
import threading

import grpc
import numpy as np
import pytest
from grpc import aio

from airreid import wire
from airreid.channels.messages import from_fields
from airreid.channels.settings import LinkSettings, link_settings
from airreid.client import ChannelClient
from airreid.errors import LinkError
from airreid.v1 import channel_pb2, channel_pb2_grpc, common_pb2, uplink_pb2
from channel_sim.links import Links
from channel_sim.transmission import SYMBOLS_MAX, WAITING_MAX, ChannelTransmission, transmit

from .conftest import Radio

Transmit = channel_pb2.TransmitRequest
BANDWIDTH, COUNT, FIRST = 65, 12, 7
SETTINGS = (
    {"model": "awgn", "snr_db": 3.0, "seed": 5},
    {"model": "awgn", "snr_range_db": (-3.0, 9.0)},
    {"model": "rayleigh", "snr_db": 0.0},
    {"model": "rayleigh", "snr_db": 0.0, "csi": False},
    {"model": "rician", "csi": False, "doppler": 0.01, "k_factor_db": 3.0},
    {"model": "impulsive", "snr_db": 6.0},
    {"model": "erasure", "snr_db": 6.0, "erasure_probability": 0.3},
)


def symbols(scale: float = 1.0) -> np.ndarray:
    drawn = np.random.default_rng(3).standard_normal((COUNT, BANDWIDTH)).astype(np.float32)
    power = np.sqrt(np.square(drawn).mean(axis=1, keepdims=True))
    return (scale * drawn / power).astype(np.float32)


def request(sent: np.ndarray, **fields: object) -> channel_pb2.TransmitRequest:
    return Transmit(
        link="cam-1",
        settings=from_fields(fields),
        first_block=FIRST,
        bandwidth=sent.shape[1],
        symbols=wire.to_bytes(sent.reshape(-1)),
    )


def over_the_uplink(settings: LinkSettings, sent: np.ndarray) -> tuple[np.ndarray, list[float]]:
    links = Links(settings)
    received, reports = [], []
    for number, row in enumerate(sent, FIRST):
        block = uplink_pb2.QueryRequest(id=common_pb2.BlockId(edge_id="cam-1", sequence=number))
        block.analog.symbols = wire.to_bytes(row)
        links.transmit(block)
        received.append(wire.from_bytes(block.analog.symbols, BANDWIDTH, "block"))
        reports.append(block.channel.snr_db)
    return np.stack(received), reports


@pytest.mark.parametrize("fields", SETTINGS, ids=lambda fields: " ".join(map(str, fields.values())))
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_received_is_what_the_uplink_delivers(fields: dict[str, object], scale: float) -> None:
    sent, settings = symbols(scale), link_settings(**fields)
    answer = transmit(request(sent), settings).response
    expected, reports = over_the_uplink(settings, sent)
    got = wire.from_bytes(answer.symbols, sent.size, "answer").reshape(sent.shape)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_allclose(answer.snr_db, reports, atol=1e-5)
    assert bool(answer.gain_real) is (fields.get("csi") is False)


async def test_settings_of_a_call_hold_for_it_alone_and_blocks_are_counted(radio: Radio) -> None:
    def by_hand() -> None:
        with ChannelClient(radio.target) as client:
            changed = client.transmit(request(symbols()))
            assert changed.settings == channel_pb2.LinkSettings(model="awgn", snr_db=5, seed=1)
            other = client.transmit(request(symbols(), model="erasure", snr_db=-3.0, seed=2))
            assert other.settings.model == "erasure"
            assert list(other.snr_db) == [-3.0] * COUNT
            assert changed.symbols != other.symbols
            assert client.links().default_settings == changed.settings
            assert not client.links().links
            [sums] = client.stats().links
            assert (sums.link, sums.blocks, sums.uses) == ("cam-1", 2 * COUNT, 2 * symbols().size)
            assert sums.erased > 0
            assert sums.last_snr_db == -3.0

    await asyncio.to_thread(by_hand)


@pytest.mark.parametrize("fields", SETTINGS, ids=lambda fields: " ".join(map(str, fields.values())))
async def test_sums_are_those_of_uplink_blocks(fields: dict[str, object], radio: Radio) -> None:
    settings, sent = link_settings(**fields), symbols()
    links = Links(settings)
    for number, row in enumerate(sent, FIRST):
        block = uplink_pb2.QueryRequest(id=common_pb2.BlockId(edge_id="cam-1", sequence=number))
        block.analog.symbols = wire.to_bytes(row)
        links.transmit(block)
    radio.links.set("cam-1", settings)

    def by_hand() -> None:
        with ChannelClient(radio.target) as client:
            client.transmit(request(sent))

    await asyncio.to_thread(by_hand)
    expected, got = (vars(each.stats.of("cam-1")) for each in (links, radio.links))
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-5), name


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bandwidth": 0}, "bandwidth 0: give 1 to"),
        ({"bandwidth": 1 << 17}, "real channel uses"),
        ({"symbols": b""}, "0 bytes are no whole blocks of 65"),
        ({"symbols": b"12345"}, "5 bytes are no whole blocks"),
        ({"bandwidth": 1, "symbols": bytes(4 * SYMBOLS_MAX + 4)}, "at most"),
        ({"symbols": np.full(65, np.nan, "<f4").tobytes()}, "must be finite"),
        ({"link": "x" * 200}, "at most 128 characters"),
        ({"first_block": 2**64 - 1}, "block numbers end"),
        ({"settings": channel_pb2.LinkSettings(model="rain")}, "link model"),
    ],
)
async def test_what_cannot_be_sent_is_refused(
    radio: Radio, changes: dict[str, object], says: str
) -> None:
    wrong = request(symbols())
    wrong.MergeFrom(Transmit(**changes))
    for name in set(changes) & {"bandwidth", "symbols"}:
        setattr(wrong, name, changes[name])

    def by_hand() -> None:
        with ChannelClient(radio.target) as client, pytest.raises(LinkError) as refused:
            client.transmit(wrong)
        assert "invalid_argument" in str(refused.value)
        assert says in str(refused.value)

    await asyncio.to_thread(by_hand)
    assert not radio.links.stats.items()


async def test_calls_that_wait_are_bounded_and_one_is_computed_at_a_time() -> None:
    service = ChannelTransmission(Links(LinkSettings()))
    server = aio.server()
    channel_pb2_grpc.add_ChannelServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    gate = threading.Event()
    service._thread.submit(gate.wait)
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = channel_pb2_grpc.ChannelServiceStub(channel)
        sent = [stub.Transmit(request(symbols())) for _ in range(WAITING_MAX + 1)]
        done, _ = await asyncio.wait(
            [asyncio.ensure_future(call.code()) for call in sent],
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert {code.result() for code in done} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        gate.set()
        codes = [await call.code() for call in sent]
        assert codes.count(grpc.StatusCode.OK) == WAITING_MAX
        assert await stub.Transmit(request(symbols()))
    await server.stop(None)
