"""What a digital scheme's two ends must agree on, as one file of the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from airreid.digital.prior import Prior
from airreid.errors import BundleError
from airreid.validation import FrozenModel, loaded

Matching = Literal["none", "puncture", "shorten", "repeat"]


class PolarCode(FrozenModel):
    """A CRC-aided polar code and the PAM that carries it in exactly ``uses`` real symbols."""

    payload_bits: Annotated[int, Field(ge=1, le=8192)]
    """k, without the CRC."""
    crc_bits: Literal[11, 24]
    uses: Annotated[int, Field(ge=1, le=8192)]
    """B, real channel uses; n = B * bits_per_symbol coded bits."""
    bits_per_symbol: Annotated[int, Field(ge=1, le=4)]
    mother_length: Annotated[int, Field(ge=2, le=65536)]
    """N, a power of two."""
    matching: Matching
    """How N coded bits become n: see :mod:`airreid.digital.rate_matching`."""
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
    def message_bits(self) -> int:
        """Payload and CRC."""
        return self.payload_bits + self.crc_bits

    @property
    def coded_bits(self) -> int:
        """n, what the symbols carry."""
        return self.uses * self.bits_per_symbol

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(N,), True where payload and CRC go."""
        raw = np.frombuffer(bytes.fromhex(self.information), np.uint8)
        return np.unpackbits(raw, count=self.mother_length).astype(bool)


class CodingTables(FrozenModel):
    """The prior of a digital scheme and one channel code for each payload size."""

    format: Literal[1] = 1
    prior: Prior
    codes: Annotated[tuple[PolarCode, ...], Field(min_length=1, max_length=16)]
    """Smallest payload first. Which one was used is side information of a block."""

    @model_validator(mode="after")
    def _ordered(self) -> CodingTables:
        sizes = [code.payload_bits for code in self.codes]
        if sizes != sorted(set(sizes)):
            raise ValueError("codes: payload sizes must grow")
        if len({(code.uses, code.crc_bits) for code in self.codes}) != 1:
            raise ValueError("codes: all must fill the same channel uses with the same CRC")
        return self

    @property
    def uses(self) -> int:
        return self.codes[0].uses

    @property
    def side_bits(self) -> int:
        """Bits that say which payload size a block has."""
        return (len(self.codes) - 1).bit_length()


def load_coding_tables(path: Path) -> CodingTables:
    """Raises :class:`BundleError` naming the file and the field."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    return loaded(CodingTables, data, path)
