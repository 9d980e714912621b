"""``airreid edge``: the camera."""

from __future__ import annotations

import asyncio
import json
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from airreid import log
from airreid.bundle import default_bundle_path, load_bundle
from airreid.console import progress_bars
from airreid.credential_options import with_credentials
from airreid.credentials import NOBODY, ClientCredentials
from airreid.errors import InputError
from airreid.payload import Link
from airreid.uplink_client import Uplink
from edge import printing, results, settings
from edge.encoder import Encoder
from edge.oneshot import expand, send_files

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
SymbolRate = Annotated[
    float | None,
    typer.Option(help="Real channel uses per second: counts air time.", show_default=False),
]
TxPower = Annotated[
    float | None,
    typer.Option(help="Transmit power in mW: counts energy.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
At = Annotated[str, typer.Option(help="HOST:PORT that 'edge serve' listens on.")]
SpoolFolder = Annotated[Path, typer.Option(help="Folder of the spool.")]


class After(Enum):
    """What becomes of an accepted file."""

    MOVE = "move"
    DELETE = "delete"


class State(Enum):
    """States of a row of the result log."""

    WAITING = "waiting"
    ANSWERED = "answered"
    DROPPED = "dropped"


@app.command()
@with_credentials
def send(
    images: Annotated[list[Path], typer.Argument(help="Person crops, or folders of them.")],
    to: To = "127.0.0.1:50051",
    scheme: Scheme = "jscc-ae-256",
    link: LinkOption = None,
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="Identities to print.")] = 5,
    bundle: BundlePath = None,
    edge_id: EdgeId = "cam-1",
    threads: Threads = 1,
    truth: Annotated[
        bool,
        typer.Option(
            "--truth",
            help="Say whom each crop shows, from <identity>/<camera>/<image>: for measurements.",
        ),
    ] = False,
    symbol_rate: SymbolRate = None,
    tx_power_mw: TxPower = None,
    image_out: Annotated[
        Path | None,
        typer.Option(help="Also draw crops and answers into this picture.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Send images and print who they were taken for.

    An outage, a digital block that the air destroyed, is an answer too. Exits with 1 if
    any image was not answered.
    """
    paths = expand(images)
    radio = settings.radio(symbol_rate, tx_power_mw)
    if image_out is not None:
        printing.check_picture(image_out)
    encoder = Encoder(load_bundle(bundle or default_bundle_path()), threads)
    encoder.link(scheme, link)
    with Uplink(to, credentials=credentials) as uplink, progress_bars() as bars:
        task = bars.add_task("sending", total=len(paths))
        tick = partial(bars.advance, task)
        outcomes = send_files(paths, encoder, uplink, scheme, edge_id, top_k, tick, link, truth)
    if as_json:
        typer.echo(json.dumps([outcome.as_dict(radio) for outcome in outcomes], indent=2))
    else:
        for line in printing.sent_lines(outcomes):
            typer.echo(line)
        for outcome in outcomes:
            if outcome.error:
                typer.echo(f"error: {outcome.error}", err=True)
    if image_out is not None:
        printing.save_picture(image_out, outcomes)
        typer.echo(f"wrote {image_out}", err=True)
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
@with_credentials
def serve(
    listen: Annotated[str, typer.Option(help="HOST:PORT to take crops on.")] = "127.0.0.1:50050",
    to: To = "127.0.0.1:50051",
    watch: Annotated[
        Path | None,
        typer.Option(help="Folder in which crops appear by rename.", show_default=False),
    ] = None,
    after: Annotated[After, typer.Option(help="What becomes of a watched file.")] = After.MOVE,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read paths from standard input, one a line.")
    ] = False,
    spool: Annotated[
        Path | None,
        typer.Option(
            help="Folder that holds frames until they are answered, and the result log.",
            show_default="in memory",
        ),
    ] = None,
    spool_blocks: Annotated[
        int, typer.Option(min=1, help="Frames that may wait; then no more are taken.")
    ] = 10_000,
    keep_rows: Annotated[
        int, typer.Option(min=0, help="Results kept in the log, the newest.")
    ] = 1_000_000,
    deadline: Annotated[
        float | None,
        typer.Option(help="Give frames up after so many seconds.", show_default="never"),
    ] = None,
    scheme: Scheme = "jscc-ae-256",
    link: LinkOption = None,
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="Identities to ask for.")] = 10,
    bundle: BundlePath = None,
    edge_id: EdgeId = "cam-1",
    threads: Threads = 1,
    window: Annotated[int, typer.Option(min=1, max=256, help="Unanswered blocks at a time.")] = 16,
    answer_timeout: Annotated[
        float, typer.Option(help="Seconds without an answer that break the stream.")
    ] = 30.0,
    backoff: Annotated[float, typer.Option(help="Longest wait between attempts, seconds.")] = 30.0,
    drain: Annotated[float, typer.Option(help="Seconds for what waits, on SIGTERM.")] = 5.0,
    symbol_rate: SymbolRate = None,
    tx_power_mw: TxPower = None,
    metrics: Annotated[
        str | None, typer.Option(help="HOST:PORT for Prometheus.", show_default="off")
    ] = None,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Take crops from a folder, standard input or gRPC, and answer who they are.

    A frame counts as accepted once it is in the spool. From then on it gets one row in the
    result log ('airreid edge log'), whatever is killed or unplugged in between.
    """
    from edge import server as service  # grpc servers and prometheus: only where they are used

    log.configure("edge")
    credentials.verify(to)
    chosen = settings.checked(
        edge_id=edge_id,
        listen=listen,
        to=to,
        spool=spool,
        spool_blocks=spool_blocks,
        keep_rows=keep_rows,
        deadline=deadline,
        drain_seconds=drain,
        watch=watch
        and {
            "folder": watch,
            "after": after.value,
            "marks": spool and spool / "under-way.json",
        },
        stdin=stdin,
        metrics=metrics,
        radio={"symbol_rate": symbol_rate, "tx_power_mw": tx_power_mw},
        uplink={
            "window": window,
            "answer_seconds": answer_timeout,
            "backoff_seconds": backoff,
            "credentials": credentials,
        },
    )
    encoder = Encoder(load_bundle(bundle or default_bundle_path()), threads)
    sending = settings.Sending(scheme_id=scheme, link=encoder.link(scheme, link), top_k=top_k)
    asyncio.run(service.run(encoder, sending, chosen))


@app.command("set")
def set_(
    scheme: Annotated[str | None, typer.Option(help="Scheme of the edge's bundle.")] = None,
    link: LinkOption = None,
    at: At = "127.0.0.1:50050",
) -> None:
    """Change how a running edge sends, until it is restarted."""
    from edge.control import EdgeClient

    if scheme is None and link is None:
        raise InputError("nothing to set: give --scheme, --link or both")
    with EdgeClient(at) as client:
        typer.echo(printing.state_line(client.set(scheme or "", link or "")))


@app.command()
def status(at: At = "127.0.0.1:50050", as_json: AsJson = False) -> None:
    """What a running edge does at the moment."""
    from edge.control import EdgeClient

    with EdgeClient(at) as client:
        state = client.get()
    typer.echo(printing.state_json(state) if as_json else printing.state_line(state))


@app.command("log")
def log_(
    spool: SpoolFolder,
    state: Annotated[
        State | None, typer.Option(help="Only rows in this state.", show_default="all")
    ] = None,
    last: Annotated[int, typer.Option(min=0, help="Only so many of the newest; 0: all.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print what became of every accepted frame; the edge may be running."""
    rows = results.read(spool, state.value if state else "", last)
    for row in rows:
        typer.echo(json.dumps(row) if as_json else printing.row_line(row))
