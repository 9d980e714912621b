"""Settings of the camera: typed, bounded, frozen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from airreid.addresses import OFF, HostPort, HostPortOrOff
from airreid.bundle import PREFERRED_SCHEME
from airreid.config_file import Given
from airreid.credentials import NOBODY, ClientCredentials
from airreid.errors import InputError
from airreid.flags import Flag, Settings
from airreid.link_report import TARGET_OUTAGE
from airreid.payload import Link
from airreid.subject_ids import ID_MAX
from edge.airtime import Radio

Seconds = Annotated[float, Field(gt=0, le=1e7, allow_inf_nan=False)]


AUTO, REPORT = "auto", "report"
"""Bandwidths that the access point says: piece by piece, or at once."""
TargetOutage = Annotated[float, Field(gt=0, lt=1)]


def _bandwidth(value: object) -> object:
    """Returns a bandwidth as text: a file may give a number.

    Raises an error of pydantic for what is none.
    """
    text = str(value) if isinstance(value, int) else value
    if isinstance(text, str) and not re.fullmatch(r"auto|report|[1-9][0-9]{0,4}", text, re.ASCII):
        raise PydanticCustomError("bandwidth", "give auto, report or a number of channel uses")
    return text


BandwidthChoice = Annotated[str | None, BeforeValidator(_bandwidth)]


class SendSettings(Settings):
    """Scheme, link and answer length of a frame; changed while the edge runs."""

    scheme_id: str
    link: Link
    top_k: Annotated[int, Field(ge=1, le=1000)] = 10
    bandwidth: BandwidthChoice = None
    """Channel uses of a block in pieces; ``auto``: until the access point has heard enough;
    ``report``: as many as it advised last; None: a whole block. ``report`` of a digital scheme:
    the scheme that the link carries."""
    target_outage: TargetOutage = TARGET_OUTAGE
    """Share of blocks that may be lost where ``report`` chooses a digital scheme."""


class UplinkSettings(Settings):
    """Window, patience and pauses of the stream."""

    window: Annotated[int, Field(ge=1, le=256), Flag()] = 16
    """Unanswered blocks at a time."""
    connect_seconds: Seconds = 5.0
    """Longest time that a connection may take."""
    answer_seconds: Annotated[Seconds, Flag("--answer-timeout")] = 30.0
    """Seconds without an answer that break the stream.

    The block is then sent again.
    """
    backoff_seconds: Annotated[Seconds, Flag("--backoff")] = 30.0
    """Longest wait between attempts, seconds."""


class WatchSettings(Settings):
    """A folder in which files appear."""

    folder: Annotated[Path, Flag("--watch")]
    """Folder in which crops appear by rename."""
    after: Annotated[Literal["move", "delete"], Flag()] = "move"
    """End of a watched file: moved or deleted.

    Once its frame is accepted: into ``done/``, or deleted.
    """
    poll_seconds: Annotated[float, Field(ge=0.01, le=60)] = 0.2
    """Time between two looks at the folder."""
    settle_seconds: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """A file that cannot be decoded may still be growing: it is rejected only when it has not
    changed for so long."""
    marks: Path | None = None
    """File that remembers which files are under way; None remembers nothing."""


class CameraSettings(Settings):
    """A camera: its name, its networks, and the way to the access point."""

    to: Annotated[str, Flag()] = "127.0.0.1:50051"
    """HOST:PORT of the channel, or of the access point."""
    scheme: Annotated[str | None, Flag(shown_default=f"{PREFERRED_SCHEME}, else the first")] = None
    """Scheme of the bundle."""
    link: Annotated[Link | None, Flag(shown_default="the usual")] = None
    """Link: analog (JSCC), coded or ideal (digital)."""
    bandwidth: Annotated[BandwidthChoice, Flag(shown_default="all of the scheme's")] = None
    """Channel uses of a block: a number; auto: in pieces until the access point has heard enough;
    report: at once, as many as it advised last.

    Of nested and digital schemes. report goes by the SNR that the access point heard; of a digital
    scheme it chooses by that SNR among the bundle's that take no more uses.
    """
    target_outage: Annotated[TargetOutage, Flag()] = TARGET_OUTAGE
    """Share of digital blocks that may be lost.

    With --bandwidth report.
    """
    bundle: Annotated[Path | None, Flag()] = None
    """Model bundle; the demo's if left out."""
    edge_id: Annotated[str, Field(min_length=1, max_length=ID_MAX), Flag()] = "cam-1"
    """Name of this camera and of its radio link."""
    threads: Annotated[int, Field(ge=1, le=64), Flag()] = 1
    """Threads of the backbone."""
    radio: Radio = Radio()
    credentials: ClientCredentials = NOBODY


class OneShotSettings(CameraSettings):
    """Everything that ``airreid edge send`` is told, besides the files."""

    top_k: Annotated[int, Field(ge=1, le=1000), Flag()] = 5
    """Identities to print."""
    truth: Annotated[bool, Flag()] = False
    """Say whom each crop shows, from <identity>/<camera>/<image>: for measurements."""


class ServeSettings(CameraSettings):
    """Everything that ``airreid edge serve`` is told."""

    top_k: Annotated[int, Field(ge=1, le=1000), Flag()] = 10
    """Identities to ask for."""
    listen: Annotated[HostPortOrOff, Flag()] = "127.0.0.1:50050"
    """HOST:PORT to take crops and 'edge set' on, or off.

    ``off`` where crops come from a folder or standard input alone.
    """
    insecure_no_auth: Annotated[bool, Flag()] = False
    """Let anybody who reaches --listen in: closed networks."""
    watch: WatchSettings | None = None
    stdin: Annotated[bool, Flag()] = False
    """Read paths from standard input, one a line."""
    spool: Annotated[Path | None, Flag(shown_default="in memory")] = None
    """Folder that holds frames until they are answered, and the result log.

    None keeps frames in memory: then a kill loses what waits.
    """
    spool_blocks: Annotated[int, Field(ge=1, le=100_000_000), Flag()] = 10_000
    """Frames that may wait; then no more are taken."""
    keep_rows: Annotated[int, Field(ge=0), Flag()] = 1_000_000
    """Results kept in the log, the newest."""
    deadline: Annotated[Seconds | None, Flag(shown_default="never")] = None
    """Give frames up after so many seconds."""
    drain_seconds: Annotated[float, Field(ge=0, le=3600), Flag("--drain")] = 5.0
    """Seconds for what waits, on SIGTERM."""
    uplink: UplinkSettings = UplinkSettings()
    metrics: Annotated[HostPort | None, Flag(shown_default="off")] = None
    """HOST:PORT for Prometheus."""


def serve_settings(given: Given[ServeSettings]) -> ServeSettings:
    """Returns what a running edge was told, checked. Raises :class:`InputError`."""
    values, watch = given.values, given.values.get("watch")
    if watch is not None and "folder" not in watch and "watch" not in (given.file or {}):
        watch = None  # only --after: it has nothing to say
    settings = given.checked(values | {"watch": watch})
    if settings.listen == OFF and not settings.watch and not settings.stdin:
        raise InputError("--listen off leaves no way for crops to come; give --watch or --stdin")
    if settings.spool is None:
        if settings.watch or settings.stdin:
            options = bool({"watch", "stdin"} & set(given.flags))
            raise InputError(
                "--watch and --stdin need --spool DIR: that is where frames are kept"
                if options
                else f"{given.path}: watch and stdin need spool, the folder where frames are kept"
            )
        return settings
    if settings.watch is None or settings.watch.marks is not None:
        return settings
    marked = settings.watch.model_copy(update={"marks": settings.spool / "under-way.json"})
    return settings.model_copy(update={"watch": marked})
