"""Sums of links as messages of the control service."""

from __future__ import annotations

from airreid.channels.parameters import parameters_of
from airreid.channels.registry import channel_models
from airreid.v1 import channel_pb2
from channel_sim.stats import LinkStats, Stats


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


class StatsMessages:
    """Messages of sums for those who watch; the row of a link is made anew after its next block."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._rows: dict[str, channel_pb2.LinkStats] = {}

    def make(self, link: str = "") -> channel_pb2.WatchStatsResponse:
        """Makes the message of one link, or of all if ``link`` is empty."""
        rows = [self._row(name, sums) for name, sums in self._stats.items() if link in ("", name)]
        return channel_pb2.WatchStatsResponse(
            upstream_errors=self._stats.upstream_errors, streams=self._stats.streams, links=rows
        )

    def _row(self, name: str, sums: LinkStats) -> channel_pb2.LinkStats:
        row = self._rows.get(name)
        if row is not None and row.blocks == sums.blocks:
            return row
        row = self._rows[name] = channel_pb2.LinkStats(
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
        return row
