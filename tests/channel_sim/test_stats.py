"""Counts of each link, block by block."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from airreid.channels.models import draw_realisation
from airreid.channels.settings import link_settings
from airreid.noise import NoiseStream
from channel_sim.links import Links
from channel_sim.stats import LINKS_MAX, NAME_MAX, OTHERS, LinkStats, Stats

from .conftest import Request, block


def test_nothing_is_counted_before_the_first_block() -> None:
    stats = LinkStats()
    assert (stats.measured_snr_db, stats.mean_gain) == (None, 0.0)
    assert set(dataclasses.astuple(stats)) == {0}


def test_ideal_packets_are_blocks_with_a_gain() -> None:
    stats = LinkStats()
    stats.count_packet(0.5, lost=False, report_db=3.0)
    stats.count_packet(2.5, lost=True, report_db=-1.0)
    assert (stats.blocks, stats.packets, stats.faded, stats.lost) == (2, 2, 2, 1)
    assert (stats.mean_gain, stats.last_snr_db) == (1.5, -1.0)
    assert (stats.uses, stats.unusable, stats.measured_snr_db) == (0, 0, None)


def test_blocks_that_pass_untouched_have_no_gain() -> None:
    stats = LinkStats()
    stats.count_packet(4.0, lost=False, report_db=3.0)
    stats.count_untouched()
    stats.count_untouched()
    assert (stats.blocks, stats.unusable, stats.faded, stats.mean_gain) == (3, 2, 1, 4.0)


@pytest.mark.parametrize("count", [1, 3])
def test_symbols_add_up_by_hand(count: int) -> None:
    """Blocks of ones over a link without fading: 8 uses of energy 1 each."""
    links = Links(link_settings(snr_db=10.0, seed=3))
    for number in range(count):
        links.transmit(block("cam", number, 8))
    stats = links.stats.of("cam")
    noise = np.square(NoiseStream(3, "cam").blocks(0, count, 8).astype(float)).sum() * 0.1
    assert (stats.blocks, stats.uses, stats.faded, stats.packets) == (count, 8 * count, count, 0)
    assert stats.signal_energy == pytest.approx(8 * count)
    assert stats.noise_energy == pytest.approx(noise, rel=1e-5)
    assert stats.measured_snr_db == pytest.approx(10 * math.log10(8 * count / noise), abs=1e-4)
    assert (stats.mean_gain, stats.last_snr_db) == (1.0, pytest.approx(10.0))
    links.transmit(Request(id=block("cam", 9).id))
    assert (stats.blocks, stats.unusable, stats.faded) == (count + 1, 1, count)


def test_values_that_are_not_finite_count_as_a_block_alone() -> None:
    links = Links(link_settings(snr_db=10.0))
    request = block("cam", 0, 8)
    request.analog.symbols = np.full(8, np.nan, "<f4").tobytes()
    links.transmit(request)
    stats = links.stats.of("cam")
    assert (stats.blocks, stats.unusable, stats.uses, stats.faded) == (1, 1, 0, 1)
    assert stats.signal_energy == stats.noise_energy == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"snr_db": 3.0},
        {"model": "rayleigh", "snr_db": 3.0},
        {"model": "rayleigh", "snr_db": 3.0, "csi": False},
        {"model": "impulsive", "impulse_probability": 0.3},
        {"model": "erasure", "erasure_probability": 0.3},
    ],
)
def test_many_blocks_at_once_count_as_they_do_one_by_one(fields: dict[str, object]) -> None:
    settings = link_settings(seed=5, **fields)
    symbols = np.ones((6, 16), np.float32)
    together = LinkStats()
    radio = draw_realisation(settings, NoiseStream(5, "cam"), 0, 6, 16)
    together.count_realisation(symbols, radio, 1.25)
    links = Links(settings)
    for number in range(6):
        links.transmit(block("cam", number, 16))
    single = links.stats.of("cam")
    for name in (field.name for field in dataclasses.fields(LinkStats)):
        if name != "last_snr_db":
            expected = pytest.approx(getattr(single, name), rel=1e-5)
            assert getattr(together, name) == expected, name
    assert together.last_snr_db == 1.25
    if settings.model == "erasure":
        assert single.erased > 0
    if settings.model == "impulsive":
        assert single.impulses > 0


def test_names_beyond_the_limits_share_a_row() -> None:
    assert (LINKS_MAX, NAME_MAX) == (256, 128)
    stats = Stats()
    rows = [stats.of(f"e{number}") for number in range(256)]
    assert len({id(row) for row in rows}) == 256
    assert stats.of("e0") is rows[0]
    assert stats.of("one more") is stats.of("and another") is stats.of(OTHERS)
    assert [name for name, _ in stats.items()] == [*(f"e{i}" for i in range(256)), OTHERS]
    fresh = Stats()
    fresh.of("n" * 129)
    fresh.of("n" * 128)
    assert [name for name, _ in fresh.items()] == ["n" * 128, OTHERS]


def test_bits_that_are_there_count_whatever_number_the_packet_gives() -> None:
    """At -60 dB one use carries 7e-7 bits: a byte that says it has none is lost all the same."""
    for bits, uses, arrives in ((b"", 1, True), (b"\x80", 1, False), (b"\x80", 2**23, True)):
        links = Links(link_settings(snr_db=-60.0))
        request = Request(id=block("cam", 0).id)
        request.ideal.bits, request.ideal.uses = bits, uses
        links.transmit(request)
        assert request.ideal.lost is not arrives
        assert bool(request.ideal.bits) is (arrives and bool(bits))


def test_a_last_byte_counts_from_its_first_bit() -> None:
    """2 bytes hold 9 bits at least: 9 uses at the SNR of one bit a use carry them, 8 do not."""
    one_bit_a_use = 10 * math.log10(3) + 1e-9
    for uses, arrives in ((8, False), (9, True)):
        links = Links(link_settings(snr_db=one_bit_a_use))
        request = Request(id=block("cam", 0).id)
        request.ideal.bits, request.ideal.bit_count, request.ideal.uses = b"\xff\x80", 3, uses
        links.transmit(request)
        assert request.ideal.lost is not arrives
