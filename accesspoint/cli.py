"""``airreid ap``: the access point."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from accesspoint import server
from accesspoint.api.audit import Audit
from accesspoint.api.auth import LOCAL
from accesspoint.api.tokens import Scope, TokenFile
from accesspoint.gallery.maintenance import backup
from accesspoint.settings import ServeSettings
from airreid import log
from airreid.bundle import default_bundle_path, load_bundle
from airreid.config_file import Given
from airreid.console import print_table, say
from airreid.errors import InputError
from airreid.json_output import Json, JsonOut, show_json
from airreid.settings_options import with_settings

app = typer.Typer(no_args_is_help=True, help="The access point: receiver and gallery.")
token = typer.Typer(no_args_is_help=True, help="Who may use the access point.")
app.add_typer(token, name="token")

DataDir = Annotated[Path, typer.Option(help="Folder of the gallery; made if missing.")]
_DATA = Path("airreid-data")


@app.command()
@with_settings(ServeSettings, config=True)
def serve(given: Given[ServeSettings]) -> None:
    """Serve the uplink, the gallery and the dashboard until told to stop.

    On loopback addresses nobody is asked for a token; elsewhere everybody is, over TLS.
    """
    log.configure("accesspoint")
    settings = given.checked(_checked_parts(given))
    bundle = load_bundle(settings.bundle or default_bundle_path())
    bundle.require_schemes()
    asyncio.run(server.run(bundle, settings))


def _checked_parts(given: Given[ServeSettings]) -> dict[str, object]:
    """The given values; those of Milvus only where entries are searched there.

    Raises :class:`InputError` for options that need another one that is not given.
    """
    values = given.values
    tls, milvus = values.get("tls"), values.get("milvus", {})
    in_file = given.file or {}
    if "tls" in in_file and "tls" not in given.flags and not {"cert", "key"} <= set(in_file["tls"]):
        raise InputError(f"{given.path}: [tls]: TLS needs both cert and key")
    if tls is not None and ("cert" in tls) != ("key" in tls):
        raise InputError("TLS needs both --tls-cert and --tls-key")
    if tls is not None and "cert" not in tls:
        raise InputError("--tls-client-ca needs --tls-cert and --tls-key")
    gallery = dict(values.get("gallery", {}))
    typed = given.flags.get("gallery", {}).get("index")
    if typed is None and "milvus" in in_file:
        typed = "milvus"
    if (typed or gallery.get("index")) == "milvus":
        if "uri" not in milvus and not given.flags.get("gallery", {}).get("index"):
            raise InputError(
                f"{given.path}: [milvus]: needs uri, such as 'http://127.0.0.1:19530'; "
                "the table, or index 'milvus', asks for it"
            )
        if "uri" not in milvus:
            raise InputError("--index milvus needs --milvus-uri, such as http://127.0.0.1:19530")
        return values | {"gallery": gallery | {"index": "auto"}}
    if "uri" in given.flags.get("milvus", {}):
        raise InputError("--milvus-uri needs --index milvus")
    return values | {"gallery": gallery, "milvus": None}


@app.command("backup")
def backup_(
    file: Annotated[Path, typer.Argument(help="Where to; must not be there yet.")],
    data_dir: DataDir = _DATA,
) -> None:
    """Copy the gallery as it is now into one file; it may be served meanwhile.

    Exits with 1 if entries in it are damaged, which a restored gallery does not serve.
    """
    damaged = backup.backup(data_dir / backup.FILE_NAME, file)
    Audit(data_dir).record(LOCAL, "backup", file=file.name)
    say(f"wrote {file}: {file.stat().st_size} bytes")
    if damaged:
        named = ", ".join(map(str, damaged[:10])) + (", ..." if len(damaged) > 10 else "")
        say(
            f"error: {len(damaged)} entries in it are damaged ({named}); "
            "enrol them anew, or delete them",
            err=True,
        )
        raise typer.Exit(1)


@app.command("restore")
def restore_(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    data_dir: DataDir = _DATA,
    replace: Annotated[
        bool, typer.Option("--replace", help="Give up the gallery that is there.")
    ] = False,
) -> None:
    """Put a backup in place of a gallery that is not served."""
    subjects, entries = backup.restore(file, data_dir, replace)
    Audit(data_dir).record(LOCAL, "restore", file=file.name, entries=entries)
    say(f"{data_dir} holds {subjects} subjects, {entries} entries")


@token.command("add")
def add_token(
    name: Annotated[str, typer.Option(help="Whose it is; comes into the audit log.")],
    scope: Annotated[
        list[Scope],
        typer.Option(help="read, enrol (and read), admin (all but stream) or stream; repeatable."),
    ],
    data_dir: DataDir = _DATA,
    edge: Annotated[
        str | None, typer.Option(help="The only edge its streams speak for.", show_default=False)
    ] = None,
    days: Annotated[
        float | None, typer.Option(help="Ends after so many days.", show_default="never")
    ] = None,
) -> None:
    """Make a token and print it, this once; a running access point knows it at once."""
    secret = TokenFile(data_dir).add(name, scope, edge, days)
    scopes = [str(granted) for granted in scope]
    Audit(data_dir).record(LOCAL, "add_token", name=name, scopes=scopes, edge=edge)
    typer.echo(secret)


@token.command("list")
def list_tokens(data_dir: DataDir = _DATA, as_json: Json = False, json_out: JsonOut = None) -> None:
    """List the tokens; what they are is not kept."""
    grants = TokenFile(data_dir).grants()
    document = [
        {
            "id": grant.id,
            "name": grant.name,
            "scopes": [str(scope) for scope in grant.scopes],
            "edge": grant.edge or None,
            "created_at": grant.created_at,
            "expires_at": grant.expires_at,
            "valid": grant.valid(time.time()),
        }
        for grant in grants
    ]
    if show_json("airreid ap token 1", document, as_json, json_out):
        return
    rows = []
    for grant in grants:
        ends = "never" if grant.expires_at is None else _day(grant.expires_at)
        if not grant.valid(time.time()):
            ends = "has ended"
        scopes = ", ".join(grant.scopes)
        rows.append((grant.id, grant.name, scopes, grant.edge, _day(grant.created_at), ends))
    print_table(("id", "name", "scopes", "edge", "made", "ends"), rows)


@token.command("revoke")
def revoke_token(
    which: Annotated[str, typer.Argument(help="A name (all its tokens), or one token's id.")],
    data_dir: DataDir = _DATA,
) -> None:
    """Take a token away; a running access point takes it no more."""
    for grant in TokenFile(data_dir).revoke(which):
        Audit(data_dir).record(LOCAL, "revoke_token", name=grant.name, id=grant.id)
        say(f"revoked {grant.name} ({grant.id})")


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
