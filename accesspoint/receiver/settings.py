"""Settings of the uplink's receiving end: typed, bounded, frozen."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from accesspoint.matching.tracks import TrackSettings
from airreid.flags import Flag, Settings
from airreid.nested.stopping import StoppingSettings

_MIB = 1 << 20


class ReceiverSettings(Settings):
    """Bounds of blocks on their way through, of repeats and of tracks."""

    window: Annotated[int, Field(ge=1, le=1024), Flag()] = 64
    """Unanswered blocks of one stream, at most.

    Fewer where there is no room for them.
    """
    max_in_flight: Annotated[int, Field(ge=1, le=65536), Flag()] = 512
    """Unanswered blocks of all streams, at most."""
    max_streams: Annotated[int, Field(ge=1, le=100_000), Flag()] = 1000
    """Streams at once; more are refused.

    A camera that has one already gets its new one in its place.
    """
    streams_per_edge: Annotated[int, Field(ge=1, le=100_000)] = 4
    """Streams of one camera at once; a further one ends the oldest of them."""
    newcomer_seconds: Annotated[float, Field(gt=0, le=60)] = 2.0
    """Time that a stream above ``max_streams`` has to say by its first block whose it is."""
    drop: Annotated[Literal["never", "oldest"], Flag()] = "never"
    """oldest: answer old blocks CODE_DROPPED when behind.

    They are answered so instead of being computed.
    """
    drop_after_ms: Annotated[
        Annotated[float, Field(ge=1, le=1e9, allow_inf_nan=False)] | None,
        Flag(shown_default="no age"),
    ] = None
    """With --drop oldest: blocks older than this.

    In milliseconds, counted from ``captured_at``; of a block that has none, from when it was
    read.
    """
    max_batch: Annotated[int, Field(ge=1, le=1024), Flag()] = 64
    """Blocks that are decoded and searched together.

    Those of one scheme.
    """
    kept: Annotated[int, Field(ge=0, le=100_000_000), Flag("--kept-answers")] = 65_536
    """Answers kept for blocks that come again; of all edges."""
    kept_bytes: Annotated[int, Field(ge=0, le=1 << 40), Flag("--kept-mib", scale=_MIB)] = 64 * _MIB
    """MiB that these answers may take.

    The option counts in MiB, this field in bytes.
    """
    pieces: StoppingSettings = StoppingSettings()
    """When blocks that come in pieces are answered."""
    fuse_tracks: Annotated[bool, Flag()] = False
    """Answer from all recent frames of a track.

    Of the track that a block names.
    """
    tracks: TrackSettings = TrackSettings()
    """Frames and tracks that are remembered for that."""
    kept_per_edge: Annotated[int, Field(ge=0, le=1_000_000)] = 4096
    """Answers of one edge that are kept for blocks that come again."""
    kept_bytes_per_edge: Annotated[int, Field(ge=0, le=1 << 34)] = 4 * _MIB
    """Bytes that these answers of one edge may take."""
    kept_seconds: Annotated[float, Field(gt=0, le=1e7, allow_inf_nan=False)] = 900.0
    """Time after which an answer is forgotten even if no edge says that it has it."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.drop_after_ms is not None and self.drop == "never":
            raise PydanticCustomError(
                "drop", "drop_after_ms: nothing is dropped; choose drop 'oldest' with it"
            )
        return self
