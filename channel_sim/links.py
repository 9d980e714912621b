"""Settings of the links, and what a link does to a block."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airreid.digital.limits import ideal_arrives
from airreid.errors import InputError
from airreid.noise import NoiseStream
from airreid.signal import POWER, SNR_DB_MAX, SNR_DB_MIN
from airreid.v1 import channel_pb2, uplink_pb2
from channel_sim.models import awgn_block

POWER_TOLERANCE = 1e-3


class LinkSettings(BaseModel):
    """How one link behaves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Literal["awgn"] = "awgn"
    snr_db: Annotated[float, Field(ge=SNR_DB_MIN, le=SNR_DB_MAX, allow_inf_nan=False)] = 10.0
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0


def link_settings(model: str, snr_db: float, seed: int) -> LinkSettings:
    """Checked settings. Raises :class:`InputError` naming the field."""
    try:
        return LinkSettings.model_validate({"model": model, "snr_db": snr_db, "seed": seed})
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"link {first['loc'][0]}: {first['msg']}") from None


def settings_to_proto(settings: LinkSettings) -> channel_pb2.LinkSettings:
    return channel_pb2.LinkSettings(
        model=settings.model, snr_db=settings.snr_db, seed=settings.seed
    )


@dataclass
class Links:
    """The default settings and those of single links, by edge id."""

    default: LinkSettings

    def __post_init__(self) -> None:
        self.own: dict[str, LinkSettings] = {}
        self._streams: dict[tuple[int, str], NoiseStream] = {}

    def set(self, link: str, settings: LinkSettings) -> None:
        if link:
            self.own[link] = settings
        else:
            self.default = settings

    def settings(self, link: str) -> LinkSettings:
        return self.own.get(link, self.default)

    def transmit(self, request: uplink_pb2.QueryRequest) -> None:
        """Sends the request's block through its link, in place, and stamps the report.

        The noise is that of a block of power 1. The report says the SNR that the block
        really had: an edge that does not keep the power constraint does not hide it.
        An ideal packet arrives whole or is lost, as capacity says. A payload that is not
        an array of float32 is passed on untouched: the receiver answers it with what is
        wrong. Values that are not finite stay so.
        """
        settings = self.settings(request.id.edge_id)
        request.channel.CopyFrom(
            uplink_pb2.ChannelReport(model=settings.model, snr_db=settings.snr_db)
        )
        if request.HasField("ideal"):
            _carry(request.ideal, settings.snr_db)
            return
        block = request.coded if request.HasField("coded") else request.analog
        data = block.symbols
        if not data or len(data) % 4:
            return
        symbols = np.frombuffer(data, dtype="<f4").astype(np.float32)
        power = float(np.square(symbols, dtype=np.float64).mean())
        if abs(power - POWER) > POWER_TOLERANCE and 0 < power < np.inf:
            request.channel.snr_db = settings.snr_db + 10 * math.log10(power / POWER)
        stream = self._stream(settings.seed, request.id.edge_id)
        received = awgn_block(symbols, stream, request.id.sequence, settings.snr_db)
        block.symbols = received.astype("<f4").tobytes()

    def _stream(self, seed: int, link: str) -> NoiseStream:
        key = (seed, link)
        if key not in self._streams:
            if len(self._streams) > 10_000:
                self._streams.clear()
            self._streams[key] = NoiseStream(seed, link)
        return self._streams[key]


def _carry(packet: uplink_pb2.IdealPacket, snr_db: float) -> None:
    """The ideal link: takes the bits away unless a capacity-achieving code carries them.

    Bits that are there count, whatever number the packet gives.
    """
    bits = max(packet.bit_count, 8 * (len(packet.bits) - 1) + 1 if packet.bits else 0)
    if not ideal_arrives(bits, packet.uses, snr_db):
        packet.bits = b""
        packet.lost = True
