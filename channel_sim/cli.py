"""``airreid channel``: the channel simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.message import Message

from airreid import log
from airreid.channels.messages import from_fields
from airreid.channels.settings import LinkSettings
from airreid.client import ChannelClient
from airreid.config_file import Given
from airreid.console import print_table, say
from airreid.errors import InputError
from airreid.json_output import Json, JsonOut, json_lines, show_json
from airreid.settings_options import with_settings
from airreid.v1 import channel_pb2
from channel_sim import options, service
from channel_sim.settings import ServeSettings

app = typer.Typer(no_args_is_help=True, help="The simulated radio between edge and access point.")

To = Annotated[str, typer.Option(help="HOST:PORT of the channel simulator.")]
Link = Annotated[str, typer.Option(help="An edge id; without it, the default of all links.")]
LINK_SCHEMA, WATCH_SCHEMA = "airreid channel link 1", "airreid channel watch 1"
SHOW_SCHEMA = "airreid channel show 1"
"""Names and versions of JSON documents; docs/json.md has their fields."""
DEFAULT = "127.0.0.1:50051"


@app.command()
@with_settings(ServeSettings, config=True, partial=LinkSettings)
def serve(given: Given[ServeSettings]) -> None:
    """Serve the uplink: fade each block and add noise on its way to the access point.

    Without options: AWGN at 10 dB, seed 0. ``airreid channel set`` changes it all while
    blocks fly. An edge's token passes through to the access point; --token and the like are
    for edges that show none.
    """
    settings = options.serve_settings(given)
    log.configure("channel")
    settings.credentials.verify(settings.upstream)
    asyncio.run(service.run(settings))


@app.command("set")
@with_settings(LinkSettings, partial=LinkSettings)
def set_link(
    given: Given[LinkSettings],
    link: Link = "",
    to: To = DEFAULT,
    as_json: Json = False,
    json_out: JsonOut = None,
) -> None:
    """Change a link, or the default; what is not given keeps its value.

    A link's first settings of its own start from the default's.
    """
    changes = options.link_changes(given.flags)
    if not changes:
        raise InputError("nothing to change: give some option, for example --snr -3")
    with ChannelClient(to) as client:
        settings = client.change(from_fields(changes), link)
    _print_link(link or "default", settings, as_json, json_out)


@app.command()
def reset(
    link: Link = "", to: To = DEFAULT, as_json: Json = False, json_out: JsonOut = None
) -> None:
    """Let a link follow the default again; the default, what the service started with."""
    with ChannelClient(to) as client:
        settings = client.reset(link)
    _print_link(link or "default", settings, as_json, json_out)


@app.command()
def show(
    link: Link = "", to: To = DEFAULT, as_json: Json = False, json_out: JsonOut = None
) -> None:
    """Show what a link is set to, and what was really done to its blocks."""
    with ChannelClient(to) as client:
        listed, stats = client.links(), client.stats(link)
    has_settings = link in listed.links
    settings = listed.links[link] if has_settings else listed.default_settings
    settings_and_sums = {**_plain(settings), "stats": _plain(stats)["links"]}
    document = {"link": link or "default", "own": has_settings, **settings_and_sums}
    if show_json(SHOW_SCHEMA, document, as_json, json_out):
        return
    follows = " (as the default)" if link and not has_settings else ""
    say(f"{link or 'default'}{follows}: {_line(settings)}")
    if stats.links:
        print_table(*_stats_table(stats))
    else:
        say("no blocks yet")


@app.command()
def links(to: To = DEFAULT, as_json: Json = False, json_out: JsonOut = None) -> None:
    """List the default and the links that have settings of their own."""
    with ChannelClient(to) as client:
        listed = client.links()
    rows = [("default", listed.default_settings), *sorted(listed.links.items())]
    document = [{"link": name, **_plain(settings)} for name, settings in rows]
    if show_json(LINK_SCHEMA, document, as_json, json_out):
        return
    print_table(("link", "settings"), [(name, _line(settings)) for name, settings in rows])


@app.command()
def watch(
    link: Annotated[str, typer.Option(help="An edge id; without it, all links.")] = "",
    every: Annotated[float, typer.Option(help="Seconds between lines, 0.1 to 3600.")] = 1.0,
    to: To = DEFAULT,
    as_json: Json = False,
    json_out: JsonOut = None,
) -> None:
    """Print what was really done to blocks, again and again, until interrupted."""
    with (
        ChannelClient(to) as client,
        json_lines(WATCH_SCHEMA, as_json, json_out) as write,
    ):
        for stats in client.watch(link, every):
            if not write(_plain(stats)):
                print_table(*_stats_table(stats))


def _stats_table(
    stats: channel_pb2.WatchStatsResponse,
) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
    """Names of the columns, and the rows."""
    names = ("link", "blocks", "lost packets", "unusable", "measured SNR", "mean |h|²", "last SNR")
    rows = []
    for row in stats.links:
        measured = f"{row.measured_snr_db:.2f} dB" if row.HasField("measured_snr_db") else "–"
        rows.append(
            (
                row.link,
                str(row.blocks),
                f"{row.lost} of {row.packets}",
                str(row.unusable),
                measured,
                f"{row.mean_gain:.3f}",
                f"{row.last_snr_db:.2f} dB",
            )
        )
    return names, rows


def _plain(message: Message) -> dict[str, Any]:
    """A message as numbers, text, lists and dictionaries; fields that are absent left out."""
    plain: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        if isinstance(value, Message):
            plain[field.name] = _plain(value)
        elif field.message_type and field.message_type.GetOptions().map_entry:
            plain |= {field.name: dict(value)} if value else {}
        elif field.is_repeated and field.message_type:
            plain[field.name] = [_plain(entry) for entry in value]
        elif not field.is_repeated:
            plain[field.name] = value
    return plain


def _line(settings: channel_pb2.LinkSettings) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in _plain(settings).items())


def _value(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={_value(entry)}" for name, entry in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _print_link(
    name: str, settings: channel_pb2.LinkSettings, as_json: bool, json_out: Path | None
) -> None:
    if not show_json(LINK_SCHEMA, {"link": name, **_plain(settings)}, as_json, json_out):
        say(f"{name}: {_line(settings)}")
