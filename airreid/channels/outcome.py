"""The fate of single blocks: whether an ideal packet arrives, and what a report says."""

from __future__ import annotations

import math
from typing import NamedTuple

from airreid.channels.models import USES_MAX, conditions
from airreid.channels.registry import channel_model
from airreid.channels.settings import LinkSettings
from airreid.digital.bounds import ideal_arrives
from airreid.noise import NoiseStream
from airreid.signal import POWER

POWER_TOLERANCE = 1e-3
"""Deviation from mean power 1 that a report does not mention."""


class PacketOutcome(NamedTuple):
    """The fate of one ideal packet."""

    arrives: bool
    gain_power: float
    """|h|^2."""
    report_db: float
    """SNR that the receiver is told, in dB."""


def packet_outcome(
    settings: LinkSettings, stream: NoiseStream, block: int, bits: int, uses: int
) -> PacketOutcome:
    """Decides whether ``bits`` in ``uses`` real uses arrive as block ``block``: ``bits <= uses C``.

    Of an erasure link the uses that are not erased count.
    """
    met = conditions(settings, stream, block, 1)
    usable, draw_erasures = uses, channel_model(settings.model).erasures
    if draw_erasures is not None and 0 < usable <= USES_MAX:
        usable -= int(draw_erasures(settings, stream, block, 1, usable).sum())
    arrives = ideal_arrives(bits, usable, float(met.effective_db[0]))
    return PacketOutcome(arrives, abs(complex(met.gain[0])) ** 2, float(met.report_db[0]))


def power_db(power: float) -> float:
    """Returns the decibels that a block of mean power ``power`` adds to its SNR.

    0 for power 1, within ``POWER_TOLERANCE``, and for a block without energy or without finite
    values.
    """
    if abs(power - POWER) > POWER_TOLERANCE and 0 < power < math.inf:
        return 10 * math.log10(power / POWER)
    return 0.0
