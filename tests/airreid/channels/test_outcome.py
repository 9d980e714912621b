"""The fate of single blocks, against the link that symbols cross."""

from __future__ import annotations

import math

import numpy as np
import pytest

from airreid.channels.models import USES_MAX, conditions
from airreid.channels.outcome import packet_outcome, power_db
from airreid.channels.settings import link_settings
from airreid.noise import NoiseStream
from airreid.signal import capacity

STREAM = NoiseStream(9, "cam")


@pytest.mark.parametrize("block", [0, 5, 1000])
@pytest.mark.parametrize("csi", [True, False])
def test_a_packet_meets_the_gain_of_its_block(block: int, csi: bool) -> None:
    settings = link_settings(model="rayleigh", snr_db=4.0, csi=csi, seed=9)
    gain = abs(complex(conditions(settings, STREAM, block, 1).gain[0]))
    outcome = packet_outcome(settings, STREAM, block, 10, 64)
    assert outcome.gain_power == pytest.approx(gain * gain, rel=1e-12)
    faded_db = 4.0 + 20 * math.log10(gain)
    assert outcome.report_db == pytest.approx(faded_db if csi else 4.0)
    bits = 64 * float(capacity(faded_db))
    assert packet_outcome(settings, STREAM, block, math.floor(bits), 64).arrives
    assert not packet_outcome(settings, STREAM, block, math.floor(bits) + 1, 64).arrives


@pytest.mark.parametrize("unit", ["real", "complex"])
def test_uses_that_are_erased_carry_nothing(unit: str) -> None:
    """At one bit a use: as many bits arrive as uses survive."""
    settings = link_settings(
        model="erasure",
        snr_db=10 * math.log10(3) + 1e-9,
        erasure_probability=0.4,
        erasure_unit=unit,
        seed=9,
    )
    survived = {}
    for block in range(20):
        arriving = [
            bits for bits in range(66) if packet_outcome(settings, STREAM, block, bits, 64).arrives
        ]
        assert arriving == list(range(len(arriving)))
        survived[block] = len(arriving) - 1
    mean = np.mean(list(survived.values()))
    assert mean == pytest.approx(64 * 0.6, abs=4)
    assert len(set(survived.values())) > 3


def test_uses_beyond_the_longest_block_are_not_drawn() -> None:
    settings = link_settings(model="erasure", snr_db=0.0, erasure_probability=1.0, seed=9)
    assert not packet_outcome(settings, STREAM, 0, 1, USES_MAX).arrives
    assert packet_outcome(settings, STREAM, 0, 1, USES_MAX + 1).arrives
    assert packet_outcome(settings, STREAM, 0, 0, 0).arrives
    assert not packet_outcome(settings, STREAM, 0, 1, 0).arrives


@pytest.mark.parametrize(
    ("power", "decibels"),
    [
        *((1.0, 0.0), (1.0009, 0.0), (0.9991, 0.0), (0.0, 0.0), (math.inf, 0.0), (math.nan, 0.0)),
        *((1.01, 0.0432137), (0.5, -3.0103), (2.0, 3.0103), (100.0, 20.0), (-1.0, 0.0)),
    ],
)
def test_the_power_of_a_block_in_decibels(power: float, decibels: float) -> None:
    assert power_db(power) == pytest.approx(decibels, abs=1e-4)
