"""Settings of the uplink's receiving end: typed, bounded, frozen."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from accesspoint.matching.tracks import TrackSettings
from airreid.validation import FrozenModel, validated

_MIB = 1 << 20


class ReceiverSettings(FrozenModel):
    """What an operator may choose about blocks on their way through."""

    window: Annotated[int, Field(ge=1, le=1024)] = 64
    """Blocks of one stream that may be unanswered at once, when there is room for it."""
    max_in_flight: Annotated[int, Field(ge=1, le=65536)] = 512
    """Blocks of all streams together that are read and not yet answered."""
    max_streams: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Streams at once; further ones are refused."""
    max_batch: Annotated[int, Field(ge=1, le=1024)] = 64
    """Blocks of one scheme that are decoded and searched together."""
    drop: Literal["never", "oldest"] = "never"
    """What happens to old blocks when the access point is behind. ``oldest``: they are
    answered CODE_DROPPED instead of being computed."""
    drop_after_ms: Annotated[float, Field(ge=1, le=1e9, allow_inf_nan=False)] | None = None
    """With ``drop`` ``oldest``: blocks older than this are dropped. The age counts from
    ``captured_at``; of a block that has none, from when it was read."""
    fuse_tracks: bool = False
    """Answer a block that names a track from all recent frames of that track."""
    tracks: TrackSettings = TrackSettings()
    """How many frames and tracks are remembered for that."""
    kept_per_edge: Annotated[int, Field(ge=0, le=1_000_000)] = 4096
    """Answers of one edge that are kept for blocks that come again."""
    kept_bytes_per_edge: Annotated[int, Field(ge=0, le=1 << 34)] = 4 * _MIB
    kept: Annotated[int, Field(ge=0, le=100_000_000)] = 65_536
    """Answers of all edges together."""
    kept_bytes: Annotated[int, Field(ge=0, le=1 << 40)] = 64 * _MIB
    kept_seconds: Annotated[float, Field(gt=0, le=1e7, allow_inf_nan=False)] = 900.0
    """An answer is forgotten after so long even if no edge says that it has it."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.drop_after_ms is not None and self.drop == "never":
            raise PydanticCustomError(
                "drop", "drop_after_ms: nothing is dropped; choose drop 'oldest' with it"
            )
        return self


def receiver_settings(**fields: object) -> ReceiverSettings:
    """Checked settings; fields left out have their defaults.

    Raises :class:`InputError` naming the field.
    """
    return validated(ReceiverSettings, fields, "uplink")
