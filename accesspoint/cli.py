"""``airreid ap``: the access point."""

from __future__ import annotations

import asyncio
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from accesspoint import server
from accesspoint.receiver.settings import receiver_settings
from airreid import log
from airreid.bundle import default_bundle_path, load_bundle
from airreid.serving import parse_address

app = typer.Typer(no_args_is_help=True, help="The access point: receiver and gallery.")


class Drop(Enum):
    """What becomes of old blocks when the access point is behind."""

    NEVER = "never"
    OLDEST = "oldest"


@app.callback()
def _group() -> None:
    """Keeps ``serve`` a sub-command while it is the only one."""


@app.command()
def serve(
    data_dir: Annotated[Path, typer.Option(help="Folder of the gallery; made if missing.")] = Path(
        "airreid-data"
    ),
    grpc: Annotated[str, typer.Option(help="HOST:PORT for gRPC; port 0 picks a free one.")] = (
        "127.0.0.1:50052"
    ),
    http: Annotated[
        str, typer.Option(help="HOST:PORT for REST and the dashboard.")
    ] = "127.0.0.1:8080",
    bundle: Annotated[Path | None, typer.Option(help="Model bundle; the demo's if left out.")] = (
        None
    ),
    threads: Annotated[int, typer.Option(min=1, max=64, help="Threads per network.")] = 1,
    window: Annotated[
        int, typer.Option(min=1, max=1024, help="Unanswered blocks of one stream, at most.")
    ] = 64,
    max_in_flight: Annotated[
        int, typer.Option(min=1, max=65536, help="Unanswered blocks of all streams, at most.")
    ] = 512,
    max_streams: Annotated[
        int, typer.Option(min=1, max=100_000, help="Streams at once; more are refused.")
    ] = 1000,
    drop: Annotated[
        Drop, typer.Option(help="oldest: answer old blocks CODE_DROPPED when behind.")
    ] = Drop.NEVER,
    drop_after_ms: Annotated[
        float | None,
        typer.Option(help="With --drop oldest: blocks older than this.", show_default="no age"),
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of a channel simulator that the dashboard may turn."),
    ] = None,
) -> None:
    """Serve the uplink, the gallery and the dashboard until told to stop."""
    log.configure("accesspoint")
    uplink = receiver_settings(
        window=window,
        max_in_flight=max_in_flight,
        max_streams=max_streams,
        drop=drop.value,
        drop_after_ms=drop_after_ms,
    )
    if channel is not None:
        parse_address(channel)
    loaded = load_bundle(bundle or default_bundle_path())
    asyncio.run(server.run(loaded, data_dir, grpc, http, threads, uplink, channel))
