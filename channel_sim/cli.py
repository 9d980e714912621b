"""``airreid channel``: the channel simulator."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from airreid import log
from channel_sim import service
from channel_sim.links import link_settings

app = typer.Typer(no_args_is_help=True, help="The simulated radio between edge and access point.")


@app.callback()
def _group() -> None:
    """Keeps ``serve`` a sub-command while it is the only one."""


@app.command()
def serve(
    listen: Annotated[str, typer.Option(help="HOST:PORT to serve on; port 0 picks a free one.")] = (
        "127.0.0.1:50051"
    ),
    upstream: Annotated[str, typer.Option(help="HOST:PORT of the access point.")] = (
        "127.0.0.1:50052"
    ),
    model: Annotated[str, typer.Option(help="Channel model: awgn.")] = "awgn",
    snr: Annotated[float, typer.Option(help="SNR per real channel use, in dB.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
) -> None:
    """Serve the uplink, adding noise to each block on its way to the access point."""
    settings = link_settings(model, snr, seed)
    log.configure("channel")
    asyncio.run(service.run(listen, upstream, settings))
