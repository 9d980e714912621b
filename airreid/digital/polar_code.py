"""Polar codes as data of the coding tables, and their encoder and decoder."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from airreid.digital import polar
from airreid.digital.channel_code import (
    POLAR,
    Bits,
    ChannelCode,
    ChannelCodeKind,
    Codec,
    Floats,
    register_channel_code,
)
from airreid.digital.crc import CrcBits
from airreid.digital.list_decoder import ListDecoder
from airreid.digital.polar import Matching


class PolarCode(ChannelCode):
    """A CRC-aided polar code and the PAM that carries it in exactly ``uses`` real symbols."""

    mother_length: Annotated[int, Field(ge=2, le=65536)]
    """N, a power of two."""
    matching: Matching
    """Way from N coded bits to n: see :func:`airreid.digital.polar.sent_positions`."""
    information: Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$")]
    """Mask of the N positions that carry payload and CRC, as hex, most significant first."""
    design_snr_db: float
    """SNR per real use that the frozen set was made for."""

    @model_validator(mode="after")
    def _fits(self) -> PolarCode:
        if self.mother_length & (self.mother_length - 1):
            raise ValueError(f"mother_length {self.mother_length} is no power of two")
        if len(self.information) != 2 * -(-self.mother_length // 8):
            raise ValueError("information: not one bit for each position of the mother code")
        if int(self.mask.sum()) != self.message_bits:
            raise ValueError(f"information: {int(self.mask.sum())} positions set")
        short = self.coded_bits - self.mother_length
        legal = {"none": short == 0, "repeat": short > 0}.get(self.matching, short < 0)
        if not legal:
            raise ValueError(f"{self.matching} does not make {self.coded_bits} bits")
        return self

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Mask (N,), True where payload and CRC go."""
        raw = np.frombuffer(bytes.fromhex(self.information), np.uint8)
        return np.unpackbits(raw, count=self.mother_length).astype(bool)

    def codec(self, list_size: int) -> Codec:
        return PolarCodec(self, list_size)


class PolarCodec:
    """Polar encoding and successive-cancellation list decoding."""

    def __init__(self, code: PolarCode, list_size: int) -> None:
        self._code = code
        self._mask = code.mask
        self._decoder = ListDecoder(self._mask, list_size)

    def encode(self, messages: Bits) -> Bits:
        return polar.match(polar.encode(messages, self._mask), self._code)

    def decode(self, llrs: Floats) -> tuple[Bits, Floats]:
        codewords, metric = self._decoder.decode(polar.unmatch(llrs, self._code))
        return polar.transform(codewords)[..., self._mask], metric


def _design(payload_bits: int, uses: int, crc_bits: CrcBits) -> PolarCode:
    from airreid.digital.polar_design import design_code  # only who exports a bundle needs it

    return design_code(payload_bits, uses, crc_bits)


register_channel_code(ChannelCodeKind(POLAR, PolarCode, _design))
