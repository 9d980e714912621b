"""Blocks through a link without an access point behind it: ``ChannelService``."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from grpc import aio
from numpy.typing import NDArray

from airreid import wire
from airreid.channels import models
from airreid.channels.messages import changes, to_message
from airreid.channels.outcome import power_db
from airreid.channels.settings import NAME_MAX, LinkSettings, changed
from airreid.errors import InputError
from airreid.noise import NoiseStream
from airreid.v1 import channel_pb2, channel_pb2_grpc
from channel_sim.links import Links
from channel_sim.stats import LinkStats

Context = aio.ServicerContext[Any, Any]
SYMBOLS_MAX = 1 << 19
"""Real channel uses in one request."""
WAITING_MAX = 32
"""Calls that wait for their turn, each with a request of 2 MiB at most."""


class ChannelTransmission(channel_pb2_grpc.ChannelServiceServicer):
    """Answers ``Transmit``. The arithmetic runs in a thread, of one call after another: streams go
    on meanwhile."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._thread = ThreadPoolExecutor(1, "transmit")
        self._waiting = 0

    async def Transmit(
        self, request: channel_pb2.TransmitRequest, context: Context
    ) -> channel_pb2.TransmitResponse:
        if self._waiting >= WAITING_MAX:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{self._waiting} calls wait for their turn; send it again later",
            )
        self._waiting += 1
        try:
            settings = changed(self._links.settings(request.link), changes(request.settings))
            loop = asyncio.get_running_loop()
            sums, response = await loop.run_in_executor(self._thread, _counted, request, settings)
        except InputError as error:
            refusal = str(error)
        else:
            self._links.stats.of(request.link).add(sums)
            return response
        finally:
            self._waiting -= 1
        del request  # the traceback of a refusal would keep it until the next collection
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, refusal)
        raise AssertionError


@dataclass(frozen=True)
class Transmitted:
    """The answer to a request, and what its blocks met."""

    response: channel_pb2.TransmitResponse
    realisation: models.Realisation
    symbols: NDArray[np.float32]
    """(n, B): the symbols as sent."""
    snr_db: NDArray[np.float64]
    """(n,): the report's SNR."""


def _counted(
    request: channel_pb2.TransmitRequest, settings: LinkSettings
) -> tuple[LinkStats, channel_pb2.TransmitResponse]:
    """Sends a request's blocks; returns their sums and the answer. Raises as :func:`transmit`."""
    sent, sums = transmit(request, settings), LinkStats()
    sums.count_realisation(sent.symbols, sent.realisation, float(sent.snr_db[-1]))
    return sums, sent.response


def transmit(request: channel_pb2.TransmitRequest, settings: LinkSettings) -> Transmitted:
    """Sends a request's blocks through a link of these settings.

    Raises :class:`InputError` for a name, a length or values that cannot be used.
    """
    symbols = _symbols(request)
    blocks = np.arange(len(symbols), dtype=np.uint64) + np.uint64(request.first_block)
    stream = NoiseStream(settings.seed, request.link)
    received, radio = models.apply(settings, symbols, stream, blocks)
    power = np.square(symbols, dtype=np.float64).mean(axis=1)
    snr_db = radio.report_db + np.array([power_db(value) for value in power.tolist()])
    response = channel_pb2.TransmitResponse(
        symbols=wire.to_bytes(received.reshape(-1)), settings=to_message(settings), snr_db=snr_db
    )
    if (radio.residual_gain != 1).any():
        response.gain_real.extend(radio.residual_gain.real.tolist())
        response.gain_imag.extend(radio.residual_gain.imag.tolist())
    return Transmitted(response, radio, symbols, snr_db)


def _symbols(request: channel_pb2.TransmitRequest) -> NDArray[np.float32]:
    """Reads a request's symbols as blocks (n, B). Raises :class:`InputError`."""
    bandwidth, length = request.bandwidth, len(request.symbols)
    if len(request.link) > NAME_MAX:
        raise InputError(f"link: a name has at most {NAME_MAX} characters")
    if not 0 < bandwidth <= models.USES_MAX:
        raise InputError(f"bandwidth {bandwidth}: give 1 to {models.USES_MAX} real channel uses")
    if not length or length % (4 * bandwidth):
        raise InputError(
            f"symbols: {length} bytes are no whole blocks of {bandwidth} float32 values; "
            f"send a multiple of {4 * bandwidth} bytes"
        )
    if length > 4 * SYMBOLS_MAX:
        raise InputError(f"symbols: {length} bytes; send at most {4 * SYMBOLS_MAX} in one call")
    if request.first_block + length // (4 * bandwidth) > 1 << 64:
        raise InputError(f"first_block {request.first_block}: block numbers end at 2^64 - 1")
    return wire.from_bytes(request.symbols, length // 4, "symbols").reshape(-1, bandwidth)
