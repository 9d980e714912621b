"""The cost of a query: channel uses, bits, air time, energy."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from airreid.flags import Flag, Settings
from airreid.nested.pacing import Pacing
from airreid.scheme import BlockCost
from airreid.v1 import uplink_pb2

PerSecond = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
Milliwatt = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class Radio(Settings):
    """The transmitter that the air time and the energy are counted for."""

    symbol_rate: Annotated[PerSecond | None, Flag()] = None
    """Real channel uses per second: counts air time.

    With --bandwidth auto more is sent at once where a round trip is dear. None leaves air time and
    energy out.
    """
    tx_power_mw: Annotated[Milliwatt | None, Flag()] = None
    """Transmit power in mW: counts energy.

    The mean over a block; None leaves the energy out.
    """

    def air_ms(self, cost: BlockCost) -> float | None:
        """Milliseconds that one transmission of the block takes."""
        if self.symbol_rate is None:
            return None
        return cost.uses / self.symbol_rate * 1e3

    def energy_uj(self, cost: BlockCost) -> float | None:
        """Microjoules radiated by one transmission: milliwatts times milliseconds."""
        air_ms = self.air_ms(cost)
        if air_ms is None or self.tx_power_mw is None:
            return None
        return air_ms * self.tx_power_mw


def pacing_of(radio: Radio) -> Pacing | None:
    """Returns the pace of blocks in pieces; None where nobody says how fast the radio sends."""
    return None if radio.symbol_rate is None else Pacing(radio.symbol_rate)


def heard_cost(cost: BlockCost, response: uplink_pb2.QueryResponse) -> BlockCost:
    """Returns what a block cost of which the access point heard as many pieces as it says."""
    return replace(cost, uses=response.uses_heard) if response.uses_heard else cost


def as_dict(cost: BlockCost, radio: Radio) -> dict[str, int | float | None]:
    """Plain values for JSON."""
    return {
        "uses": cost.uses,
        "payload_bits": cost.payload_bits,
        "crc_bits": cost.crc_bits,
        "side_bits": cost.side_bits,
        "air_ms": radio.air_ms(cost),
        "energy_uj": radio.energy_uj(cost),
    }
