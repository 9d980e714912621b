"""The ideal and the coded link, as the channel treats their blocks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airreid.channels.settings import LinkSettings
from airreid.digital.bounds import ideal_arrives
from airreid.noise import NoiseStream
from airreid.offline import transmit
from airreid.payload import Analog, Coded, Ideal, get, put
from airreid.signal import awgn
from airreid.v1 import common_pb2, uplink_pb2
from channel_sim.links import Links


def request(payload: Analog | Coded | Ideal, sequence: int = 4) -> uplink_pb2.QueryRequest:
    message = uplink_pb2.QueryRequest(
        id=common_pb2.BlockId(edge_id="cam", sequence=sequence), scheme_id="s"
    )
    put(payload, message)
    return message


def packet(bits: int, uses: int = 256) -> Ideal:
    return Ideal(np.arange(bits, dtype=np.int64).astype(np.uint8) & 1, uses)


def test_capacity_decides_and_takes_the_bits_away() -> None:
    # C(0 dB) = 1/2 bit a use: exactly 128 bits fit into 256 uses, and 129 do not
    links = Links(LinkSettings(snr_db=0.0))
    fits, too_many = request(packet(128)), request(packet(129))
    links.transmit(fits)
    links.transmit(too_many)
    assert not fits.ideal.lost
    assert get(fits, 256).bits.tolist() == packet(128).bits.tolist()
    assert too_many.ideal.lost
    assert too_many.ideal.bits == b""
    assert too_many.channel.snr_db == 0.0


@given(
    bits=st.integers(0, 2000),
    uses=st.integers(1, 1024),
    snr_db=st.floats(-30, 40, allow_nan=False),
)
def test_the_ideal_link_is_the_formula(bits: int, uses: int, snr_db: float) -> None:
    capacity = 0.5 * math.log2(1 + 10 ** (snr_db / 10))
    if abs(bits - uses * capacity) < 1e-9 * uses:
        return
    assert ideal_arrives(bits, uses, snr_db) == (bits <= uses * capacity)


def test_bits_that_are_not_announced_count() -> None:
    links = Links(LinkSettings(snr_db=0.0))
    liar = request(packet(400))
    liar.ideal.bit_count = 1
    links.transmit(liar)
    assert liar.ideal.lost


def test_no_bits_always_arrive() -> None:
    links = Links(LinkSettings(snr_db=-60.0))
    empty = request(packet(0))
    links.transmit(empty)
    assert not empty.ideal.lost


def test_coded_symbols_get_the_noise_of_their_block() -> None:
    links = Links(LinkSettings(snr_db=3.0, seed=8))
    symbols = np.where(np.arange(256) % 2, 1, -1).astype(np.float32)
    sent = request(Coded(symbols, 2), sequence=77)
    links.transmit(sent)
    noise = NoiseStream(8, "cam").blocks(77, 1, 256)
    got = get(sent, 256)
    assert isinstance(got, Coded)
    assert got.size == 2
    np.testing.assert_array_equal(got.symbols, awgn(symbols[None], noise, 3.0)[0])
    assert sent.channel.snr_db == 3.0


@pytest.mark.parametrize("kind", ["analog", "coded", "ideal"])
def test_offline_is_what_the_link_does(kind: str) -> None:
    rng = np.random.default_rng(3)
    symbols = np.sign(rng.standard_normal((20, 256))).astype(np.float32)
    payloads = {
        "analog": [Analog(row) for row in symbols],
        "coded": [Coded(row, i % 3) for i, row in enumerate(symbols)],
        "ideal": [packet(120 + i) for i in range(20)],
    }[kind]
    links = Links(LinkSettings(snr_db=0.0, seed=5))
    offline = transmit(payloads, 0.0, NoiseStream(5, "cam"), 100)
    for i, (payload, expected) in enumerate(zip(payloads, offline, strict=True)):
        message = request(payload, sequence=100 + i)
        links.transmit(message)
        got = get(message, 256)
        assert type(got) is type(expected)
        for name, value in vars(expected).items():
            np.testing.assert_array_equal(vars(got)[name], value)


@pytest.mark.parametrize("csi", [True, False])
@pytest.mark.parametrize(("snr_db", "bits"), [(5.0, 128), (0.0, 60), (10.0, 300)])
def test_capacity_outage_under_rayleigh_fading(csi: bool, snr_db: float, bits: int) -> None:
    # lost if and only if k > B/2 log2(1 + g SNR), g exponential of mean 1
    links = Links(LinkSettings(model="rayleigh", snr_db=snr_db, csi=csi))
    count, lost = 3000, 0
    for sequence in range(count):
        sent = request(packet(bits), sequence)
        links.transmit(sent)
        lost += sent.ideal.lost
        if not csi:
            assert sent.channel.snr_db == snr_db
        else:
            assert sent.ideal.lost != ideal_arrives(bits, 256, sent.channel.snr_db)
    expected = 1 - math.exp(-(2 ** (2 * bits / 256) - 1) / 10 ** (snr_db / 10))
    assert lost / count == pytest.approx(expected, abs=4 * math.sqrt(expected / count))
    [(name, sums)] = links.stats.items()
    assert (name, sums.packets, sums.lost) == ("cam", count, lost)


def test_an_erasure_link_carries_what_its_surviving_uses_can() -> None:
    settings = LinkSettings(model="erasure", snr_db=0.0, erasure_probability=0.25, seed=3)
    links = Links(settings)
    symbols = np.ones(256, np.float32)
    lost = []
    for sequence in range(200):
        ideal, analog = request(packet(96), sequence), request(Analog(symbols), sequence)
        before = links.stats.of("cam").erased
        links.transmit(ideal)
        links.transmit(analog)
        survive = 256 - (links.stats.of("cam").erased - before)
        assert ideal.ideal.lost == (survive / 2 < 96)
        lost.append(ideal.ideal.lost)
    assert 0.2 < np.mean(lost) < 0.8  # 192 survive on average: just enough


@pytest.mark.parametrize("uses", [0, 2**32 - 1])
def test_packets_that_claim_odd_numbers_of_uses(uses: int) -> None:
    sent = request(packet(8, uses))
    Links(LinkSettings(model="erasure")).transmit(sent)
    assert sent.ideal.lost == (uses == 0)
