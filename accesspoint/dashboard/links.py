"""Routes of ``/v1/links``: the channel simulator's settings for browsers, which lack gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from accesspoint.errors import ConflictError, NotReadyError
from airreid.client import ChannelClient
from airreid.errors import InputError, LinkError
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN
from airreid.subject_ids import ID_MAX
from airreid.v1 import channel_pb2
from airreid.validation import FrozenModel

CONNECT_SECONDS = 3.0
_AT_ONCE = 4
"""Requests that wait for the channel at once, each in a thread: it may not answer."""
Answer = TypeVar("Answer")
_NO_CHANNEL: dict[int | str, dict[str, Any]] = {
    409: {
        "description": "No channel simulator is given.",
        "content": {"application/problem+json": {}},
    }
}
LinkName = Annotated[
    str, Query(max_length=ID_MAX, description="An edge id; empty for the default of all links.")
]
Snr = Annotated[float, Field(ge=SNR_DB_MIN, le=SNR_DB_MAX, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class LinkChange(FrozenModel):
    """Fields to change; the channel checks that they fit its model."""

    model: Annotated[str, Field(max_length=64)] | None = None
    snr_db: Snr | None = None
    snr_range_db: tuple[Snr, Snr] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**64)] | None = None
    csi: bool | None = None
    doppler: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] | None = None
    k_factor_db: Number | None = None
    impulse_probability: Share | None = None
    impulse_ratio_db: Number | None = None
    erasure_probability: Share | None = None
    erasure_unit: Literal["complex", "real"] | None = None
    parameters: dict[str, Number] | None = None
    """Parameters of a model that an extension of the channel brings."""


class LinkView(BaseModel):
    """Settings of a link; null where its model has no such setting."""

    model: str
    snr_db: float | None = None
    snr_range_db: tuple[float, float] | None = None
    snr_trace: str | None = None
    seed: int | None = None
    csi: bool | None = None
    doppler: float | None = None
    k_factor_db: float | None = None
    impulse_probability: float | None = None
    impulse_ratio_db: float | None = None
    erasure_probability: float | None = None
    erasure_unit: str | None = None
    parameters: dict[str, float] = {}


class ParameterView(BaseModel):
    """A number between bounds, one of some choices, or else a flag."""

    name: str
    label: str
    low: float | None = None
    high: float | None = None
    choices: list[str] = []


class ModelView(BaseModel):
    """A channel model, and what it has beside the SNR and the seed."""

    name: str
    label: str
    parameters: list[ParameterView]


class LinkSums(BaseModel):
    """Sums over a link's blocks since the channel began."""

    link: str
    blocks: int
    packets: int
    lost: int
    measured_snr_db: float | None
    last_snr_db: float


class LinksView(BaseModel):
    """Settings and sums of all links."""

    channel: str | None
    """HOST:PORT of the simulator; null where none was given, and then there are no links."""
    default: LinkView | None = None
    links: dict[str, LinkView] = {}
    stats: list[LinkSums] = []
    models: list[ModelView] = []
    """The channel models that there are."""


def _view(settings: channel_pb2.LinkSettings) -> LinkView:
    """Makes the JSON of a link's settings."""
    fields: dict[str, Any] = {
        field.name: value
        for field, value in settings.ListFields()
        if field.name not in ("snr_range_db", "snr_trace", "parameters")
    }
    if settings.HasField("snr_range_db"):
        fields["snr_range_db"] = (settings.snr_range_db.low, settings.snr_range_db.high)
    if settings.HasField("snr_trace"):
        fields["snr_trace"] = f"{settings.snr_trace.name} ({settings.snr_trace.rows} rows)"
    return LinkView(**fields, parameters=dict(settings.parameters))


def _model(model: channel_pb2.ChannelModel) -> ModelView:
    parameters = [
        ParameterView(
            name=parameter.name,
            label=parameter.label,
            low=parameter.low if parameter.HasField("low") else None,
            high=parameter.high if parameter.HasField("high") else None,
            choices=list(parameter.choices),
        )
        for parameter in model.parameters
    ]
    return ModelView(name=model.name, label=model.label, parameters=parameters)


def _message(change: LinkChange) -> channel_pb2.LinkSettings:
    """Makes the message of a change. Raises :class:`InputError` for fields that exclude another."""
    given = change.model_dump(exclude_none=True)
    span = given.pop("snr_range_db", None)
    message = channel_pb2.LinkSettings(**given)
    if span is not None:
        if "snr_db" in given:
            raise InputError("snr_db and snr_range_db: give one of them")
        message.snr_range_db.low, message.snr_range_db.high = span
    return message


def _sums(sums: channel_pb2.LinkStats) -> LinkSums:
    return LinkSums(
        link=sums.link,
        blocks=sums.blocks,
        packets=sums.packets,
        lost=sums.lost,
        measured_snr_db=sums.measured_snr_db if sums.HasField("measured_snr_db") else None,
        last_snr_db=sums.last_snr_db,
    )


def _ask(channel: str, action: Callable[[ChannelClient], Answer]) -> Answer:
    """Does something at a channel; raises :class:`InputError` for what that refuses, and
    :class:`NotReadyError` where it does not answer."""
    try:
        with ChannelClient(channel, CONNECT_SECONDS) as client:
            return action(client)
    except LinkError as error:
        refused = f"{channel}: invalid_argument: "
        if str(error).startswith(refused):
            raise InputError(str(error).removeprefix(refused)) from None
        raise NotReadyError(f"channel simulator {error}") from None


def _all_links(channel: str, client: ChannelClient) -> LinksView:
    listed, stats = client.links(), client.stats()
    return LinksView(
        channel=channel,
        default=_view(listed.default_settings),
        links={name: _view(settings) for name, settings in listed.links.items()},
        stats=[_sums(sums) for sums in stats.links],
        models=[_model(model) for model in listed.models],
    )


def links_router(channel: str | None) -> APIRouter:
    """Makes the routes of ``/v1/links``; ``channel`` is HOST:PORT or None."""
    router = APIRouter(tags=["dashboard"])
    turn = asyncio.Semaphore(_AT_ONCE)

    async def at_channel(action: Callable[[ChannelClient], Answer]) -> Answer:
        """Does something at the channel and returns its answer, in a thread for that.

        Raises :class:`InputError` for what the channel refuses, :class:`NotReadyError`
        where it does not answer, :class:`ConflictError` where there is none.
        """
        if channel is None:
            raise ConflictError("no channel simulator is given: start with --channel HOST:PORT")
        async with turn:
            return await asyncio.to_thread(_ask, channel, action)

    @router.get("/v1/links")
    async def get_links() -> LinksView:
        """Returns the settings of all links of the channel simulator, and its sums."""
        if channel is None:
            return LinksView(channel=None)
        return await at_channel(partial(_all_links, channel))

    @router.patch("/v1/links", responses=_NO_CHANNEL)
    async def patch_link(change: LinkChange, link: LinkName = "") -> LinkView:
        """Changes the fields that are given; they hold from the next block on."""
        message = _message(change)
        return _view(await at_channel(lambda client: client.change(message, link)))

    @router.delete("/v1/links", responses=_NO_CHANNEL)
    async def reset_link(link: LinkName = "") -> LinkView:
        """Resets a link to the default; the default itself to what the channel began with."""
        return _view(await at_channel(lambda client: client.reset(link)))

    return router
