"""``airreid edge``: the camera."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from airreid import log
from airreid.bundle import default_bundle_path, load_bundle
from airreid.console import progress_bars
from airreid.errors import InputError
from airreid.images import SUFFIXES
from airreid.payload import Link
from edge import service
from edge.encoder import Encoder
from edge.send import Sent, send_files
from edge.uplink import Uplink

app = typer.Typer(no_args_is_help=True, help="The camera: image to channel symbols to uplink.")

To = Annotated[str, typer.Option(help="HOST:PORT of the channel, or of the access point.")]
Scheme = Annotated[str, typer.Option(help="Scheme of the bundle.")]
LinkOption = Annotated[
    Link | None,
    typer.Option(
        help="How it is sent: analog (JSCC), coded or ideal (digital).", show_default="the usual"
    ),
]
BundlePath = Annotated[
    Path | None, typer.Option(help="Model bundle; the demo's if left out.", show_default=False)
]
EdgeId = Annotated[str, typer.Option(help="Name of this camera and of its radio link.")]
Threads = Annotated[int, typer.Option(min=1, max=64, help="Threads of the backbone.")]


@app.command()
def send(
    images: Annotated[list[Path], typer.Argument(help="Person crops, or folders of them.")],
    to: To = "127.0.0.1:50051",
    scheme: Scheme = "jscc-ae-256",
    link: LinkOption = None,
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="Identities to print.")] = 5,
    bundle: BundlePath = None,
    edge_id: EdgeId = "cam-1",
    threads: Threads = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Send images and print who they were taken for.

    An outage, a digital block that the air destroyed, is an answer too. Exits with 1 if
    any image was not answered.
    """
    paths = _expand(images)
    encoder = Encoder(load_bundle(bundle or default_bundle_path()), threads)
    encoder.link(scheme, link)
    with Uplink(to) as uplink, progress_bars() as bars:
        task = bars.add_task("sending", total=len(paths))
        tick = partial(bars.advance, task)
        outcomes = send_files(paths, encoder, uplink, scheme, edge_id, top_k, tick, link)
    if as_json:
        typer.echo(json.dumps([outcome.as_dict() for outcome in outcomes], indent=2))
    else:
        for line in _lines(outcomes):
            typer.echo(line)
        for outcome in outcomes:
            if outcome.error:
                typer.echo(f"error: {outcome.error}", err=True)
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def serve(
    listen: Annotated[str, typer.Option(help="HOST:PORT to take crops on.")] = "127.0.0.1:50050",
    to: To = "127.0.0.1:50051",
    scheme: Scheme = "jscc-ae-256",
    link: LinkOption = None,
    bundle: BundlePath = None,
    edge_id: EdgeId = "cam-1",
    threads: Threads = 1,
) -> None:
    """Take crops over gRPC (EdgeService), send them and answer who they are."""
    log.configure("edge")
    encoder = Encoder(load_bundle(bundle or default_bundle_path()), threads)
    asyncio.run(service.run(encoder, listen, to, scheme, link, edge_id))


def _expand(images: list[Path]) -> list[Path]:
    paths: list[Path] = []
    for path in images:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise InputError(f"{path}: no image in this folder ({', '.join(sorted(SUFFIXES))})")
            paths += inside
        else:
            paths.append(path)
    return paths


def _lines(outcomes: list[Sent]) -> list[str]:
    """One line an image, aligned; long paths keep their end."""
    names = ["/".join(outcome.path.parts[-3:]) for outcome in outcomes]
    width = max(map(len, names), default=0)
    lines = []
    for name, outcome in zip(names, outcomes, strict=True):
        response = outcome.response
        if outcome.error or response is None:
            lines.append(f"{name:<{width}}  {'error':>8}  (see below)")
            continue
        snr = f"{response.channel.snr_db:+g} dB" if response.HasField("channel") else "direct"
        ranked = "  ".join(f"{m.subject} {m.score:.3f}" for m in response.identities)
        if response.outage:
            ranked = f"outage: {response.status.message}"
        ranked = ranked or "(the gallery is empty)"
        head = f"{name:<{width}}  {response.link:<6}  {snr:>8}  {outcome.latency_ms:6.1f} ms"
        lines.append(f"{head}  {ranked}")
    return lines
