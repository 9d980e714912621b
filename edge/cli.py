"""``airreid edge``: the camera."""

from __future__ import annotations

import asyncio
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from airreid import log
from airreid.bundle import default_bundle_path, load_bundle
from airreid.config_file import Given
from airreid.console import note, progress_bars, say
from airreid.errors import InputError
from airreid.json_output import Json, JsonOut, check_json, json_lines, show_json
from airreid.payload import Link
from airreid.plain_messages import plain
from airreid.settings_options import with_settings
from airreid.uplink_client import Uplink
from edge import printing, results
from edge.answer_lines import AnswerLines
from edge.encoder import Encoder
from edge.oneshot import OneShot, Sent, expand, truths_of, unreadable
from edge.settings import OneShotSettings, ServeSettings, serve_settings

app = typer.Typer(no_args_is_help=True, help="The camera: image to channel symbols to uplink.")

SEND_SCHEMA, STATUS_SCHEMA = "airreid edge send 1", "airreid edge status 1"
LOG_SCHEMA = "airreid edge log 1"
"""Names and versions of JSON documents; docs/json.md has their fields."""
To = Annotated[str, typer.Option(help="HOST:PORT that 'edge serve' listens on.")]
SpoolFolder = Annotated[Path, typer.Option(help="Folder of the spool.")]


class State(Enum):
    """States of a row of the result log."""

    WAITING = "waiting"
    ANSWERED = "answered"
    DROPPED = "dropped"


@app.command()
@with_settings(OneShotSettings)
def send(
    images: Annotated[list[Path], typer.Argument(help="Person crops, or folders of them.")],
    given: Given[OneShotSettings],
    image_out: Annotated[
        Path | None,
        typer.Option(help="Also draw crops and answers into this picture.", show_default=False),
    ] = None,
    as_json: Json = False,
    json_out: JsonOut = None,
) -> None:
    """Send images and print whom they show: match, unknown or ambiguous, and the nearest.

    Each line has the file, the link, the SNR in dB, the channel uses that were heard, the time
    from sending to the answer, the decision, and the nearest subjects with their scores (cosines).
    With --bandwidth the last line sums the channel uses up.
    Answers are printed as they come; an interrupt leaves what was received, with --json too.
    An outage, a digital block that the air destroyed, is an answer too. Exits with 1 if
    any image was not answered.
    """
    paths, left_out, leftovers = expand(images)
    for reason in left_out:
        note(f"note: left out: {reason}")
    if leftovers:
        note(f"{leftovers} hidden or leftover files passed over")
    settings = given.checked()
    if image_out is not None:
        printing.check_picture(image_out)
    if settings.truth:
        truths_of(paths)
    check_json(json_out)
    outcomes, answers = unreadable(paths), AnswerLines(paths, shows=not as_json)
    if len(outcomes) < len(paths):  # else there is nothing to ask a link for
        for missing in outcomes:
            note(missing.error)
        try:
            outcomes = _sent(paths, settings, answers)
        except (KeyboardInterrupt, SystemExit):
            received = answers.broken_off()
            rows = [outcome.as_dict(settings.radio) for outcome in received]
            show_json(SEND_SCHEMA, rows, as_json, json_out)
            count = sum(not outcome.error for outcome in received)
            say(f"interrupted: {count} of {len(paths)} answered", err=True)
            raise
    answers.finish(outcomes)
    rows = [outcome.as_dict(settings.radio) for outcome in outcomes]
    if not show_json(SEND_SCHEMA, rows, as_json, json_out):
        for error in printing.error_lines(outcomes):
            say(f"error: {error}", err=True)
        for reason in printing.undecided(outcomes):
            say(reason, err=True)
        if settings.bandwidth is not None and any(not outcome.error for outcome in outcomes):
            note(printing.air_line(outcomes, settings.radio))
    if image_out is not None:
        printing.save_picture(image_out, outcomes)
        say(f"wrote {image_out}", err=True)
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


def _sent(paths: list[Path], settings: OneShotSettings, answers: AnswerLines) -> list[Sent]:
    encoder = Encoder(load_bundle(settings.bundle or default_bundle_path()), settings.threads)
    sending = encoder.send_settings(
        settings.scheme,
        settings.link,
        settings.top_k,
        settings.bandwidth,
        settings.target_outage,
    )
    with Uplink(settings.to, credentials=settings.credentials) as uplink, progress_bars() as bars:
        task = bars.add_task("sending", total=len(paths))

        def done(position: int, outcome: Sent) -> None:
            answers.add(position, outcome)
            bars.advance(task)

        radio, edge_id = settings.radio, settings.edge_id
        with OneShot(encoder, uplink, sending, edge_id, note, radio) as one_shot:
            return one_shot.send(paths, done, settings.truth)


@app.command()
@with_settings(ServeSettings, config=True)
def serve(given: Given[ServeSettings]) -> None:
    """Take crops from a folder, standard input or gRPC, and answer who they are.

    A frame counts as accepted once it is in the spool. From then on it gets one row in the
    result log ('airreid edge log'), whatever is killed or unplugged in between.
    """
    from edge import server  # grpc servers and prometheus: only where they are used

    log.configure("edge")
    settings = serve_settings(given)
    settings.credentials.verify(settings.to)
    encoder = Encoder(load_bundle(settings.bundle or default_bundle_path()), settings.threads)
    asyncio.run(server.run(encoder, settings))


@app.command("set")
def set_(
    scheme: Annotated[str | None, typer.Option(help="Scheme of the edge's bundle.")] = None,
    link: Annotated[
        Link | None,
        typer.Option(
            help="Link: analog (JSCC), coded or ideal (digital).",
            show_default="the usual",
        ),
    ] = None,
    to: To = "127.0.0.1:50050",
) -> None:
    """Change how a running edge sends, until it is restarted."""
    from edge.control import EdgeClient

    if scheme is None and link is None:
        raise InputError("nothing to set: give --scheme, --link or both")
    with EdgeClient(to) as client:
        say(printing.state_line(client.set(scheme or "", link or "")))


@app.command()
def status(to: To = "127.0.0.1:50050", as_json: Json = False, json_out: JsonOut = None) -> None:
    """Show what a running edge does at the moment."""
    from edge.control import EdgeClient

    with EdgeClient(to) as client:
        state = client.get()
    if not show_json(STATUS_SCHEMA, plain(state), as_json, json_out):
        say(printing.state_line(state))


@app.command("log")
def log_(
    spool: SpoolFolder,
    state: Annotated[
        State | None, typer.Option(help="Only rows in this state.", show_default="all")
    ] = None,
    last: Annotated[int, typer.Option(min=0, help="Only so many of the newest; 0: all.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    json_out: JsonOut = None,
) -> None:
    """Print what became of every accepted frame; the edge may be running."""
    rows = results.read(spool, state.value if state else "", last)
    is_empty = True
    with json_lines(LOG_SCHEMA, as_json, json_out) as write:
        for row in rows:
            is_empty = False
            if not write(row):
                line = printing.row_line(row)
                say(line.text, faint=line.faint)
    if is_empty:
        note(f"{spool}: no frames{f' that are {state.value}' if state else ' accepted yet'}")
