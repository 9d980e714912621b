"""Sums of links as messages of the control service."""

from __future__ import annotations

from airreid.channels.parameters import parameters_of
from airreid.channels.registry import channel_models
from airreid.v1 import channel_pb2
from channel_sim.stats import Stats


def model_messages() -> list[channel_pb2.ChannelModel]:
    """The channel models that there are."""
    return [
        channel_pb2.ChannelModel(
            name=model.name,
            label=model.label,
            parameters=[
                channel_pb2.ModelParameter(
                    name=parameter.name,
                    label=parameter.label,
                    low=parameter.low,
                    high=parameter.high,
                    choices=parameter.choices,
                )
                for parameter in parameters_of(model)
            ],
        )
        for model in channel_models()
    ]


def stats_message(stats: Stats, link: str = "") -> channel_pb2.WatchStatsResponse:
    """The sums of one link, or of all if ``link`` is empty."""
    message = channel_pb2.WatchStatsResponse(
        upstream_errors=stats.upstream_errors, streams=stats.streams
    )
    for name, sums in stats.items():
        if link and name != link:
            continue
        message.links.add(
            link=name,
            blocks=sums.blocks,
            packets=sums.packets,
            lost=sums.lost,
            unusable=sums.unusable,
            uses=sums.uses,
            measured_snr_db=sums.measured_snr_db,
            mean_gain=sums.mean_gain,
            last_snr_db=sums.last_snr_db,
            erased=sums.erased,
            impulses=sums.impulses,
        )
    return message
