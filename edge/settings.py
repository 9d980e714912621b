"""Settings of a running edge: typed, bounded, frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from airreid.credentials import NOBODY, ClientCredentials
from airreid.errors import InputError
from airreid.payload import Link
from airreid.validation import FrozenModel, validated
from edge.airtime import Radio

Seconds = Annotated[float, Field(gt=0, le=1e7, allow_inf_nan=False)]


class Sending(FrozenModel):
    """How a frame is sent; changed while the edge runs."""

    scheme_id: str
    link: Link
    top_k: Annotated[int, Field(ge=1, le=1000)] = 10


class UplinkSettings(FrozenModel):
    """How the stream is kept."""

    window: Annotated[int, Field(ge=1, le=256)] = 16
    """Unanswered blocks at a time."""
    connect_seconds: Seconds = 5.0
    answer_seconds: Seconds = 30.0
    """A block without an answer for so long breaks the stream, and is sent again."""
    backoff_seconds: Seconds = 30.0
    """The longest wait before another attempt."""
    credentials: ClientCredentials = NOBODY


class WatchSettings(FrozenModel):
    """A folder in which files appear."""

    folder: Path
    after: Literal["move", "delete"] = "move"
    """What becomes of a file once its frame is accepted: into ``done/``, or deleted."""
    poll_seconds: Annotated[float, Field(ge=0.01, le=60)] = 0.2
    settle_seconds: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """A file that cannot be decoded may still be growing: it is rejected only when it has not
    changed for so long."""
    marks: Path | None = None
    """Where to remember which files are under way; None remembers nothing."""


class ServeSettings(FrozenModel):
    """Everything that ``airreid edge serve`` is told."""

    edge_id: Annotated[str, Field(min_length=1, max_length=128)] = "cam-1"
    listen: str = "127.0.0.1:50050"
    to: str = "127.0.0.1:50051"
    spool: Path | None = None
    """None keeps frames in memory: then a kill loses what waits."""
    spool_blocks: Annotated[int, Field(ge=1, le=100_000_000)] = 10_000
    keep_rows: Annotated[int, Field(ge=0)] = 1_000_000
    """Settled rows of the result log that are kept."""
    deadline: Seconds | None = None
    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 5.0
    watch: WatchSettings | None = None
    stdin: bool = False
    metrics: str | None = None
    radio: Radio = Radio()
    uplink: UplinkSettings = UplinkSettings()


def radio(symbol_rate: float | None, tx_power_mw: float | None) -> Radio:
    """The transmitter. Raises :class:`InputError` naming the field."""
    return validated(
        Radio, {"symbol_rate": symbol_rate, "tx_power_mw": tx_power_mw}, show_given=True
    )


def checked(**values: object) -> ServeSettings:
    """Settings from plain values. Raises :class:`InputError` naming the field."""
    settings = validated(ServeSettings, values, show_given=True)
    if settings.spool is None and (settings.watch or settings.stdin):
        raise InputError("--watch and --stdin need --spool DIR: that is where frames are kept")
    return settings
