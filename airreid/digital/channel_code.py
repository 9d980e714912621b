"""Channel codes: message bits to coded bits and back, whatever code it is.

A bundle's coding tables hold each code as data. The name of its kind stands in the field
``code``; without that field it is a polar code. docs/extending.md adds a kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny, ValidationError
from pydantic_core import PydanticCustomError

from airreid.digital.crc import CrcBits
from airreid.registry import Registry
from airreid.validation import FrozenModel, inside

Bits = NDArray[np.uint8]
Floats = NDArray[np.float64]
POLAR = "polar"
"""Kind of a code without a field ``code``."""


class Codec(Protocol):
    """Encoder and decoder of one code; holds no state between calls."""

    def encode(self, messages: Bits) -> Bits:
        """Encodes messages (..., K) -> coded bits (..., n)."""

    def decode(self, llrs: Floats) -> tuple[Bits, Floats]:
        """Decodes to candidate messages and their metrics, best first.

        llrs (b, n): ln P(0) / P(1) of every coded bit. Returns messages (b, l, K) and
        metrics (b, l), smaller for likelier ones and infinite where there is no candidate;
        l >= 1. The first one that passes the CRC is taken.
        """


class ChannelCode(FrozenModel):
    """A code of CRC and payload, and the PAM that carries it in ``uses`` real symbols."""

    payload_bits: Annotated[int, Field(ge=1, le=8192)]
    """k, without the CRC."""
    crc_bits: CrcBits
    uses: Annotated[int, Field(ge=1, le=8192)]
    """B, real channel uses; n = B * bits_per_symbol coded bits."""
    bits_per_symbol: Annotated[int, Field(ge=1, le=4)]

    @property
    def message_bits(self) -> int:
        """K, payload and CRC."""
        return self.payload_bits + self.crc_bits

    @property
    def coded_bits(self) -> int:
        """n, what the symbols carry."""
        return self.uses * self.bits_per_symbol

    def codec(self, list_size: int) -> Codec:
        """Returns encoder and decoder. ``list_size``: candidates of a list decoder, at most."""
        raise NotImplementedError


@dataclass(frozen=True)
class ChannelCodeKind:
    """Kind of channel code."""

    name: str
    """Value of the field ``code``."""
    model: type[ChannelCode]
    design: Callable[[int, int, CrcBits], ChannelCode]
    """The best code for (payload bits, real uses, CRC bits). Raises
    :class:`airreid.errors.InputError` when they do not fit."""


_KINDS: Registry[ChannelCodeKind] = Registry("channel code")


def register_channel_code(kind: ChannelCodeKind) -> ChannelCodeKind:
    """Adds a kind. Raises :class:`ValueError` for a name that is taken."""
    return _KINDS.register(kind.name, kind)


def channel_code_kind(name: str) -> ChannelCodeKind:
    """Returns the kind of a name. Raises :class:`airreid.errors.InputError` listing the kinds."""
    return _KINDS.get(name)


def _known(name: str) -> str:
    if name not in _KINDS:
        raise PydanticCustomError(
            "channel_code", "use one of {names}", {"names": ", ".join(_KINDS.names())}
        )
    return name


ChannelCodeName = Annotated[str, AfterValidator(_known)]
"""Name of a registered kind, as a field of a pydantic model."""


def _parse(value: object) -> object:
    """A code of the coding tables as the model of its kind."""
    if isinstance(value, ChannelCode) or not isinstance(value, Mapping):
        return value
    name = str(value.get("code", POLAR))
    fields = {key: field for key, field in value.items() if (key, field) != ("code", POLAR)}
    try:
        return channel_code_kind(_known(name)).model.model_validate(fields)
    except ValidationError as error:
        raise inside(error) from None


AnyCode = Annotated[SerializeAsAny[ChannelCode], BeforeValidator(_parse)]
"""A code of any registered kind."""
