"""The coded link: payload bits to exactly B real symbols and back, or a known loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from airreid.digital import modem, polar
from airreid.digital.coding_tables import PolarCode
from airreid.digital.crc import Crc
from airreid.digital.list_decoder import ListDecoder

Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class Decoded:
    """What came out of a batch of blocks."""

    payload: Bits
    """(b, k): the most likely payload, among those that pass the CRC if any does."""
    passed: NDArray[np.bool_]
    """(b,): False where no path of the list passes: the block is lost."""


class CodedLink:
    """CRC-aided polar code and PAM of one :class:`PolarCode`."""

    def __init__(self, code: PolarCode, seed: bytes = b"", list_size: int = 8) -> None:
        """``seed`` of the CRC: the first bytes of the table that made the payload."""
        self.code = code
        self._mask = code.mask
        self._crc = Crc(code.payload_bits, code.crc_bits, seed)
        self._decoder = ListDecoder(self._mask, list_size)

    def send(self, payload: Bits) -> NDArray[np.float32]:
        """Payload bits (..., k) -> symbols (..., B), each block of mean power 1."""
        codewords = polar.encode(self._crc.append(payload), self._mask)
        return modem.modulate(polar.match(codewords, self.code), self.code.bits_per_symbol)

    def receive(self, received: NDArray[np.floating], variance: ArrayLike) -> Decoded:
        """y (b, B) and sigma^2, a scalar or (b,), -> the payloads and whether they passed."""
        plane = self.code.bits_per_symbol
        gain = modem.block_gain(received, variance, plane)
        soft = modem.llrs(received / gain[..., None], variance / np.square(gain), plane)
        codewords, metric = self._decoder.decode(polar.unmatch(soft, self.code))
        messages = polar.transform(codewords)[..., self._mask]
        right = self._crc.passes(messages) & np.isfinite(metric)
        chosen = messages[np.arange(len(messages)), right.argmax(axis=1)]
        return Decoded(chosen[:, : self.code.payload_bits], np.asarray(right.any(axis=1)))
