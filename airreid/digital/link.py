"""Coded link: payload bits to exactly B real symbols and back, or a known loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from airreid.digital import modem
from airreid.digital.channel_code import ChannelCode
from airreid.digital.crc import Crc

Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class Decoded:
    """Payloads decoded from a batch of blocks."""

    payload: Bits
    """(b, k): the most likely payload, among those that pass the CRC if any does."""
    passed: NDArray[np.bool_]
    """(b,): False where no path of the list passes: the block is lost."""


class CodedLink:
    """CRC, channel code and PAM of one :class:`ChannelCode`."""

    def __init__(self, code: ChannelCode, seed: bytes = b"", list_size: int = 8) -> None:
        """``seed`` of the CRC: the first bytes of the table that made the payload."""
        self.code = code
        self._crc = Crc(code.payload_bits, code.crc_bits, seed)
        self._codec = code.codec(list_size)

    def send(self, payload: Bits) -> NDArray[np.float32]:
        """Sends payload bits (..., k) -> symbols (..., B), each block of mean power 1."""
        coded = self._codec.encode(self._crc.append(payload))
        return modem.modulate(coded, self.code.bits_per_symbol)

    def receive(self, received: NDArray[np.floating], variance: ArrayLike) -> Decoded:
        """Decodes y (b, B), given sigma^2, a scalar or (b,): payloads and whether they passed."""
        bits_per_symbol = self.code.bits_per_symbol
        gain = modem.block_gain(received, variance, bits_per_symbol)
        scaled, scaled_variance = received / gain[..., None], variance / np.square(gain)
        messages, metric = self._codec.decode(modem.llrs(scaled, scaled_variance, bits_per_symbol))
        passed = self._crc.passes(messages) & np.isfinite(metric)
        chosen = messages[np.arange(len(messages)), passed.argmax(axis=1)]
        return Decoded(chosen[:, : self.code.payload_bits], np.asarray(passed.any(axis=1)))
