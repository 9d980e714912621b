"""How an access point is served: typed, bounded, frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from accesspoint.gallery.milvus.client import MilvusSettings
from accesspoint.gallery.settings import GallerySettings
from accesspoint.receiver.settings import ReceiverSettings
from airreid.credentials import is_loopback
from airreid.errors import InputError
from airreid.serving import parse_address
from airreid.validation import FrozenModel

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$")]


class Tls(FrozenModel):
    """What the listeners prove themselves with."""

    cert: Path
    """Certificate chain, PEM."""
    key: Path
    client_ca: Path | None = None
    """Who vouches for cameras (PEM): gRPC then demands a certificate of every client."""


class ServeSettings(FrozenModel):
    """One access point."""

    data_dir: Path
    grpc: str = "127.0.0.1:50052"
    """HOST:PORT of the uplink and the gallery."""
    http: str = "127.0.0.1:8080"
    """HOST:PORT of REST and the dashboard."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Of each network."""
    uplink: ReceiverSettings = ReceiverSettings()
    channel: str | None = None
    """HOST:PORT of a channel simulator whose knobs the dashboard shows."""
    tls: Tls | None = None
    require_token: bool = False
    """Ask for a token on loopback addresses too."""
    insecure_no_auth: bool = False
    """Ask for none anywhere: for a closed network."""
    insecure_plaintext: bool = False
    """Take tokens without TLS beyond this machine."""
    allow_hosts: tuple[Name, ...] = ()
    """Names, besides localhost and addresses, by which browsers may ask where no token is
    demanded."""
    gallery: GallerySettings = GallerySettings()
    milvus: MilvusSettings | None = None
    """Where the embeddings are, if not in an index of this process."""
    keep_thumbnails: bool = False
    """Keep a picture of each enrolled crop: a change of model can then re-encode it."""
    expire_seconds: Annotated[float, Field(ge=0.1, le=86_400)] = 30.0
    """How often entries and subjects past their time are looked for."""
    body_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 40 * 1024 * 1024
    """Largest body of an HTTP request."""
    requests: Annotated[int, Field(ge=1, le=100_000)] = 256
    """HTTP requests at once, and gRPC calls besides streams; further ones are told to come
    again."""


def asks_for_token(settings: ServeSettings, address: str) -> bool:
    """Whether the listener at ``address`` lets nobody in without a credential."""
    if settings.insecure_no_auth:
        return False
    return settings.require_token or not is_loopback(parse_address(address).host)


def check_exposure(settings: ServeSettings, has_tokens: bool) -> None:
    """Raises :class:`InputError` where others could reach the gallery without a credential,
    or read one on its way."""
    if settings.insecure_no_auth and settings.require_token:
        raise InputError("--require-token and --insecure-no-auth contradict each other")
    mutual = settings.tls is not None and settings.tls.client_ca is not None
    for what, address in (("--grpc", settings.grpc), ("--http", settings.http)):
        open_to_others = not is_loopback(parse_address(address).host)
        if not asks_for_token(settings, address):
            continue
        if not has_tokens and not (mutual and what == "--grpc"):
            raise InputError(
                f"{what} {address}: asks for a token and there is none; make one with "
                f"'airreid ap token add --data-dir {settings.data_dir} --name NAME --scope admin', "
                "or give --insecure-no-auth on a closed network"
            )
        if open_to_others and settings.tls is None and not settings.insecure_plaintext:
            raise InputError(
                f"{what} {address}: tokens would come in plain text; give --tls-cert and "
                "--tls-key, or --insecure-plaintext on a closed network"
            )
