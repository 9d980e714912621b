"""Settings of a link as messages of the channel's services, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from airreid.channels.registry import channel_model
from airreid.channels.settings import LinkSettings
from airreid.channels.traces import Trace, make_trace
from airreid.errors import InputError
from airreid.v1 import channel_pb2

_PLAIN = tuple(
    name
    for name in LinkSettings.model_fields
    if name not in ("snr_range_db", "snr_trace", "parameters")
)
"""Fields that have one name and one value in settings and message alike."""


def to_message(settings: LinkSettings) -> channel_pb2.LinkSettings:
    """All fields that the settings' model has; of a trace its name and number of rows."""
    message = channel_pb2.LinkSettings(model=settings.model, seed=settings.seed)
    if settings.snr_range_db is not None:
        message.snr_range_db.low, message.snr_range_db.high = settings.snr_range_db
    elif settings.snr_trace is not None:
        message.snr_trace.name = settings.snr_trace.name
        message.snr_trace.rows = len(settings.snr_trace.blocks)
    else:
        message.snr_db = settings.snr_db
    for name in channel_model(settings.model).fields:
        setattr(message, name, getattr(settings, name))
    message.parameters.update(settings.model_parameters.model_dump())
    return message


def changes(message: channel_pb2.LinkSettings) -> dict[str, object]:
    """The fields that are given. Raises :class:`InputError` for a trace that is none."""
    given: dict[str, object] = {
        name: getattr(message, name)
        for name in _PLAIN
        if message.HasField(name)  # type: ignore[arg-type]
    }
    if message.HasField("snr_range_db"):
        given["snr_range_db"] = (message.snr_range_db.low, message.snr_range_db.high)
    if message.HasField("snr_trace"):
        trace = message.snr_trace
        given["snr_trace"] = make_trace(trace.name[:256], trace.blocks, trace.snr_db)
    if message.parameters:
        given["parameters"] = dict(message.parameters)
    return given


def from_fields(fields: Mapping[str, object]) -> channel_pb2.LinkSettings:
    """The message that :func:`changes` reads these fields from.

    Raises :class:`InputError` for a value that no message can hold.
    """
    message = channel_pb2.LinkSettings()
    for name, value in fields.items():
        if isinstance(value, Trace):
            message.snr_trace.name = value.name
            message.snr_trace.blocks.extend(value.blocks.tolist())
            message.snr_trace.snr_db.extend(value.snr_db.tolist())
        elif name == "parameters":
            message.parameters.update(cast(Mapping[str, float], value))
        elif name == "snr_range_db":
            message.snr_range_db.low, message.snr_range_db.high = cast(tuple[float, float], value)
        else:
            try:
                setattr(message, name, value)
            except (AttributeError, TypeError, ValueError) as error:
                raise InputError(f"link {name}: {error}") from None
    return message
