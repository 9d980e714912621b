"""``airreid ap``: the access point."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from accesspoint import server
from accesspoint.api.audit import Audit
from accesspoint.api.auth import LOCAL
from accesspoint.api.tokens import Scope, TokenFile
from accesspoint.gallery.maintenance import backup
from accesspoint.gallery.milvus.client import milvus_settings
from accesspoint.gallery.settings import GallerySettings
from accesspoint.receiver.settings import receiver_settings
from accesspoint.settings import ServeSettings
from airreid import log
from airreid.bundle import default_bundle_path, load_bundle
from airreid.errors import InputError
from airreid.serving import parse_address
from airreid.validation import validated

app = typer.Typer(no_args_is_help=True, help="The access point: receiver and gallery.")
token = typer.Typer(no_args_is_help=True, help="Who may use the access point.")
app.add_typer(token, name="token")

DataDir = Annotated[Path, typer.Option(help="Folder of the gallery; made if missing.")]
_DATA = Path("airreid-data")


class Drop(Enum):
    """What becomes of old blocks when the access point is behind."""

    NEVER = "never"
    OLDEST = "oldest"


class IndexKind(Enum):
    """How entries are searched."""

    AUTO = "auto"
    FLAT = "flat"
    SQ8 = "sq8"
    MILVUS = "milvus"


class MilvusRole(Enum):
    """Who changes a shared gallery."""

    WRITER = "writer"
    READER = "reader"


class MilvusKind(Enum):
    """How Milvus searches."""

    FLAT = "FLAT"
    HNSW = "HNSW"


@app.command()
def serve(
    data_dir: DataDir = _DATA,
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
    max_batch: Annotated[
        int, typer.Option(min=1, max=1024, help="Blocks that are decoded and searched together.")
    ] = 64,
    kept_answers: Annotated[
        int, typer.Option(min=0, help="Answers kept for blocks that come again; of all edges.")
    ] = 65_536,
    kept_mib: Annotated[
        int, typer.Option(min=0, max=1 << 20, help="MiB that these answers may take.")
    ] = 64,
    fuse_tracks: Annotated[
        bool, typer.Option("--fuse-tracks", help="Answer from all recent frames of a track.")
    ] = False,
    channel: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of a channel simulator that the dashboard may turn.",
            show_default=False,
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Certificate chain (PEM): serve TLS.", show_default=False)
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key.", show_default=False)] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(
            help="Who vouches for cameras (PEM): gRPC clients must show a certificate, and a "
            "camera speaks for the edge that it names.",
            show_default=False,
        ),
    ] = None,
    require_token: Annotated[
        bool, typer.Option("--require-token", help="Ask for a token on loopback too.")
    ] = False,
    insecure_no_auth: Annotated[
        bool, typer.Option("--insecure-no-auth", help="Ask nobody for a token: closed networks.")
    ] = False,
    insecure_plaintext: Annotated[
        bool, typer.Option("--insecure-plaintext", help="Take tokens without TLS from anywhere.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name that browsers may use where no token is asked for."),
    ] = None,
    keep_thumbnails: Annotated[
        bool, typer.Option("--keep-thumbnails", help="Keep a picture of each enrolled crop.")
    ] = False,
    index: Annotated[
        IndexKind, typer.Option(help="How entries are searched; auto: by their number.")
    ] = IndexKind.AUTO,
    milvus_uri: Annotated[
        str | None,
        typer.Option(help="With --index milvus: http://HOST:PORT, or FILE.db.", show_default=False),
    ] = None,
    milvus_token_file: Annotated[
        Path | None,
        typer.Option(help="File with USER:PASSWORD or an API key.", show_default=False),
    ] = None,
    milvus_role: Annotated[
        MilvusRole, typer.Option(help="One access point writes a shared gallery, others read it.")
    ] = MilvusRole.WRITER,
    milvus_scheme: Annotated[
        list[str] | None,
        typer.Option(help="A scheme to keep on Milvus; all if left out.", show_default=False),
    ] = None,
    milvus_prefix: Annotated[
        str, typer.Option(help="Of the collections' names; one for each gallery.")
    ] = "airreid",
    milvus_index: Annotated[
        MilvusKind, typer.Option(help="FLAT is exact; of collections made from now on.")
    ] = MilvusKind.FLAT,
) -> None:
    """Serve the uplink, the gallery and the dashboard until told to stop.

    On loopback addresses nobody is asked for a token; elsewhere everybody is, over TLS.
    """
    log.configure("accesspoint")
    on_milvus = index is IndexKind.MILVUS
    if milvus_uri is not None and not on_milvus:
        raise InputError("--milvus-uri needs --index milvus")
    settings = _settings(
        data_dir=data_dir,
        grpc=grpc,
        http=http,
        threads=threads,
        uplink=receiver_settings(
            window=window,
            max_in_flight=max_in_flight,
            max_streams=max_streams,
            max_batch=max_batch,
            drop=drop.value,
            drop_after_ms=drop_after_ms,
            fuse_tracks=fuse_tracks,
            kept=kept_answers,
            kept_bytes=kept_mib << 20,
        ),
        channel=channel,
        tls=_tls(tls_cert, tls_key, tls_client_ca),
        require_token=require_token,
        insecure_no_auth=insecure_no_auth,
        insecure_plaintext=insecure_plaintext,
        allow_hosts=tuple(allow_host or ()),
        keep_thumbnails=keep_thumbnails,
        gallery=GallerySettings(index="auto" if on_milvus else index.value),
        milvus=milvus_settings(
            uri=milvus_uri,
            token_file=milvus_token_file,
            role=milvus_role.value,
            schemes=tuple(milvus_scheme or ()),
            prefix=milvus_prefix,
            index=milvus_index.value,
        )
        if on_milvus
        else None,
    )
    if channel is not None:
        parse_address(channel)
    loaded = load_bundle(bundle or default_bundle_path())
    asyncio.run(server.run(loaded, settings))


def _tls(
    cert: Path | None, key: Path | None, client_ca: Path | None
) -> dict[str, Path | None] | None:
    if (cert is None) != (key is None):
        raise InputError("TLS needs both --tls-cert and --tls-key")
    if cert is None:
        if client_ca is not None:
            raise InputError("--tls-client-ca needs --tls-cert and --tls-key")
        return None
    return {"cert": cert, "key": key, "client_ca": client_ca}


def _settings(**fields: object) -> ServeSettings:
    return validated(ServeSettings, fields)


@app.command("backup")
def backup_(
    file: Annotated[Path, typer.Argument(help="Where to; must not be there yet.")],
    data_dir: DataDir = _DATA,
) -> None:
    """Copy the gallery as it is now into one file; it may be served meanwhile."""
    backup.backup(data_dir / backup.FILE_NAME, file)
    Audit(data_dir).record(LOCAL, "backup", file=file.name)
    typer.echo(f"wrote {file}: {file.stat().st_size} bytes")


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
    typer.echo(f"{data_dir} holds {subjects} subjects, {entries} entries")


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
    made = TokenFile(data_dir).add(name, scope, edge, days)
    scopes = [str(one) for one in scope]
    Audit(data_dir).record(LOCAL, "add_token", name=name, scopes=scopes, edge=edge)
    typer.echo(made)


@token.command("list")
def list_tokens(data_dir: DataDir = _DATA) -> None:
    """List the tokens; what they are is not kept."""
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "name", "scopes", "edge", "made", "ends")
    for grant in TokenFile(data_dir).grants():
        ends = "never" if grant.expires_at is None else _day(grant.expires_at)
        if not grant.valid(time.time()):
            ends = "has ended"
        scopes = ", ".join(grant.scopes)
        table.add_row(grant.id, grant.name, scopes, grant.edge, _day(grant.created_at), ends)
    Console().print(table)


@token.command("revoke")
def revoke_token(
    which: Annotated[str, typer.Argument(help="A name (all its tokens), or one token's id.")],
    data_dir: DataDir = _DATA,
) -> None:
    """Take a token away; a running access point takes it no more."""
    for grant in TokenFile(data_dir).revoke(which):
        Audit(data_dir).record(LOCAL, "revoke_token", name=grant.name, id=grant.id)
        typer.echo(f"revoked {grant.name} ({grant.id})")


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
