"""``airreid ap``: the access point."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from accesspoint import server
from airreid import log
from airreid.bundle import default_bundle_path, load_bundle

app = typer.Typer(no_args_is_help=True, help="The access point: receiver and gallery.")


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
    http: Annotated[str, typer.Option(help="HOST:PORT for REST.")] = "127.0.0.1:8080",
    bundle: Annotated[Path | None, typer.Option(help="Model bundle; the demo's if left out.")] = (
        None
    ),
    threads: Annotated[int, typer.Option(min=1, max=64, help="Threads per network.")] = 1,
) -> None:
    """Serve the uplink and the gallery until told to stop."""
    log.configure("accesspoint")
    loaded = load_bundle(bundle or default_bundle_path())
    asyncio.run(server.run(loaded, data_dir, grpc, http, threads))
