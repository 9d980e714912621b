"""Channel models by name: their settings, and what each draws for a block.

A model says up to three things about blocks, whatever is sent in them: their complex gain,
where impulses of noise hit, and which uses are erased. :mod:`airreid.channels.models` does the
rest, the same for all. docs/extending.md adds one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from airreid.noise import NoiseStream
from airreid.registry import Registry, broken_extensions
from airreid.validation import FiniteModel

if TYPE_CHECKING:
    from airreid.channels.settings import LinkSettings

Mask = NDArray[np.bool_]
GainDraw = Callable[["LinkSettings", NoiseStream, int, int], NDArray[np.complex128]]
"""(settings, stream, first block, count) -> gains h (count,), E|h|^2 = 1."""
ImpulseDraw = Callable[
    ["LinkSettings", NoiseStream, int, int, int], tuple[Mask, NDArray[np.float32]]
]
"""(settings, stream, first block, count, bandwidth) -> uses that an impulse hits, and what
unit noise is multiplied by: bool and float32 (count, bandwidth)."""
ErasureDraw = Callable[["LinkSettings", NoiseStream, int, int, int], Mask]
"""(settings, stream, first block, count, bandwidth) -> erased uses (count, bandwidth)."""


class NoParameters(FiniteModel):
    """Parameters of a model that has none."""


@dataclass(frozen=True)
class ChannelModel:
    """Channel model. Draws are functions of (settings, seed, link, block number) alone."""

    name: str
    label: str
    """Name and one phrase, for people: ``Rayleigh: fading, no line of sight``."""
    fields: tuple[str, ...] = ()
    """Fields of :class:`airreid.channels.settings.LinkSettings` that it has beside the SNR
    and the seed. A fading model has ``csi``; its receiver then knows the gain, or not."""
    parameters: type[FiniteModel] = NoParameters
    """Numbers of its own, in ``LinkSettings.parameters``: all with bounds and a default."""
    gain: GainDraw | None = None
    """None: the gain is 1, there is no fading."""
    impulses: ImpulseDraw | None = None
    erasures: ErasureDraw | None = None


_MODELS: Registry[ChannelModel] = Registry("channel model")


def register_channel_model(model: ChannelModel) -> ChannelModel:
    """Adds a model. Raises :class:`ValueError` for a name that is taken."""
    return _MODELS.register(model.name, model)


def channel_model(name: str) -> ChannelModel:
    """Returns the model of a name. Raises :class:`airreid.errors.InputError` listing the models."""
    return _MODELS.get(name)


def channel_models() -> tuple[ChannelModel, ...]:
    """Returns all models registered so far, the project's own first."""
    return _MODELS.parts()


def is_channel_model(name: object) -> bool:
    """Says whether there is a model of this name."""
    return name in _MODELS


def _known(name: str) -> str:
    if name not in _MODELS:
        *names, last = [f"'{known}'" for known in _MODELS.names()]
        expected = f"{', '.join(names)} or {last}"
        raise PydanticCustomError(
            "model",
            "Input should be {expected}{broken}",
            {"expected": expected, "broken": broken_extensions()},
        )
    return name


ModelName = Annotated[str, AfterValidator(_known)]
"""Name of a registered model, as a field of a pydantic model."""
