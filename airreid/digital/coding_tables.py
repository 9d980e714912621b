"""Coding tables of a digital scheme, one file of the bundle: its prior and channel codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from airreid.digital.channel_code import AnyCode
from airreid.digital.prior import Prior
from airreid.disk import read_regular
from airreid.errors import BundleError
from airreid.validation import FrozenModel, loaded

_BYTES_MAX = 64 * 1024 * 1024


class CodingTables(FrozenModel):
    """The prior of a digital scheme and one channel code for each payload size."""

    format: Literal[1] = 1
    prior: Prior
    codes: Annotated[tuple[AnyCode, ...], Field(min_length=1, max_length=16)]
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
        """B, real channel uses of a block."""
        return self.codes[0].uses

    @property
    def side_bits(self) -> int:
        """Bits that say which payload size a block has."""
        return (len(self.codes) - 1).bit_length()


def load_coding_tables(path: Path) -> CodingTables:
    """Reads a scheme's tables. Raises :class:`BundleError` naming the file and the field."""
    try:
        data = read_regular(path, _BYTES_MAX)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    return read_coding_tables(data, path)


def read_coding_tables(data: bytes, path: Path) -> CodingTables:
    """Reads the tables that a file holds. Raises as :func:`load_coding_tables` does."""
    return loaded(CodingTables, data, path)
