"""Parameters of channel models as a dashboard shows them: labels, bounds, choices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from airreid.channels.registry import ChannelModel
from airreid.channels.settings import LinkSettings
from airreid.flags import plain_type


@dataclass(frozen=True)
class Parameter:
    """A number between bounds, a flag, or one of some words."""

    name: str
    label: str
    low: float | None = None
    high: float | None = None
    """None for a flag and for words."""
    choices: tuple[str, ...] = ()


def parameters_of(model: ChannelModel) -> Iterator[Parameter]:
    """A model's fields of the link settings, then the parameters of its own."""
    for name in model.fields:
        yield _parameter(name, LinkSettings.model_fields[name])
    for name, info in model.parameters.model_fields.items():
        yield _parameter(name, info)


def _parameter(name: str, info: FieldInfo) -> Parameter:
    kind, label = plain_type(info.annotation), info.title or name
    if get_origin(kind) is Literal:
        return Parameter(name, label, choices=get_args(kind))
    if kind is bool:
        return Parameter(name, label)
    bounds: dict[str, Any] = {}
    for mark in info.metadata:
        bounds |= {"low": mark.ge} if hasattr(mark, "ge") else {}
        bounds |= {"high": mark.le} if hasattr(mark, "le") else {}
    return Parameter(name, label, **bounds)
