"""Settings of an access point: typed, bounded, frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from accesspoint.api.limits import MESSAGE_BYTES
from accesspoint.api.pools import PoolSettings
from accesspoint.gallery.milvus.client import MilvusSettings
from accesspoint.gallery.settings import GallerySettings
from accesspoint.receiver.settings import ReceiverSettings
from airreid.addresses import HostPort, parse_address
from airreid.credentials import is_loopback
from airreid.errors import InputError
from airreid.flags import Flag, Settings

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$")]

Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.\-:\[\]]{1,260}$")]
RootPath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]{1,64}){0,8}$")]


class Tls(Settings):
    """TLS certificate and key of the listeners."""

    cert: Annotated[Path, Flag("--tls-cert")]
    """Certificate chain (PEM): serve TLS."""
    key: Annotated[Path, Flag("--tls-key")]
    """Its key."""
    client_ca: Annotated[Path | None, Flag("--tls-client-ca")] = None
    """Authority of the cameras' certificates (PEM): gRPC clients must show one, and a camera
    speaks for the edge that it names."""


class ServeSettings(Settings):
    """One access point."""

    data_dir: Annotated[Path, Flag()] = Path("airreid-data")
    """Folder of the gallery; made if missing."""
    grpc: Annotated[HostPort, Flag()] = "127.0.0.1:50052"
    """HOST:PORT for gRPC; port 0 picks a free one."""
    http: Annotated[HostPort, Flag()] = "127.0.0.1:8080"
    """HOST:PORT for REST and the dashboard."""
    bundle: Annotated[Path | None, Flag()] = None
    """Model bundle; the demo's if left out."""
    threads: Annotated[int, Field(ge=1, le=64), Flag()] = 1
    """Threads per network."""
    uplink: ReceiverSettings = ReceiverSettings()
    channel: Annotated[HostPort | None, Flag()] = None
    """HOST:PORT of a channel simulator that the dashboard may turn."""
    tls: Tls | None = None
    require_token: Annotated[bool, Flag()] = False
    """Ask for a token on loopback too."""
    insecure_no_auth: Annotated[bool, Flag()] = False
    """Ask nobody for a token: closed networks."""
    insecure_plaintext: Annotated[bool, Flag()] = False
    """Take tokens without TLS from anywhere."""
    allow_hosts: Annotated[tuple[Name, ...], Flag("--allow-host")] = ()
    """A name that browsers may use where no token is asked for.

    Besides localhost and addresses.
    """
    public_origins: Annotated[tuple[Origin, ...], Flag("--public-origin")] = ()
    """Address of the page in browsers, through a proxy: https://NAME.

    What a page of it sends may change things; its name counts as ``--allow-host`` too.
    """
    root_path: Annotated[RootPath, Flag()] = ""
    """Path below which a proxy shows the page and the API: /reid."""
    gallery: GallerySettings = GallerySettings()
    milvus: MilvusSettings | None = None
    """Milvus that holds the embeddings, if they are not in an index of this process."""
    keep_thumbnails: Annotated[bool, Flag()] = False
    """Keep a picture of each enrolled crop.

    A change of model can then re-encode it.
    """
    expire_seconds: Annotated[float, Field(ge=0.1, le=86_400)] = 30.0
    """Interval at which entries and subjects past their time are looked for."""
    scrub_hours: Annotated[float, Field(ge=0, le=8760)] = 24.0
    """Interval at which everything that is kept is read and compared, in the background; 0:
    never. 'airreid gallery scrub' does it at once."""
    body_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 40 * 1024 * 1024
    """Largest body of an HTTP request."""
    grpc_message_bytes: Annotated[
        int, Field(ge=1 << 20, le=64 << 20), Flag("--grpc-message-mib", scale=1 << 20)
    ] = MESSAGE_BYTES
    """MiB of the longest gRPC message, of images.

    The option counts in MiB, this field in bytes. A block has at most 256 KiB.
    """
    requests: Annotated[int, Field(ge=1, le=100_000)] = 256
    """HTTP requests at once, and gRPC calls besides streams; further ones are told to come
    again."""
    http_connections: Annotated[int, Field(ge=8, le=100_000), Flag()] = 512
    """HTTP connections at once; idle ones make room."""
    http_per_address: Annotated[int, Field(ge=4, le=100_000)] = 256
    """HTTP connections of one address at once."""
    pools: PoolSettings = PoolSettings()
    """Threads by kind of work, and calls that wait for them."""


def asks_for_token(settings: ServeSettings, address: str) -> bool:
    """Returns whether the listener at ``address`` lets nobody in without a credential."""
    if settings.insecure_no_auth:
        return False
    return settings.require_token or not is_loopback(parse_address(address).host)


def check_exposure(settings: ServeSettings, has_tokens: bool) -> None:
    """Refuses settings that would open the gallery to others.

    Raises :class:`InputError` where they could reach it without a credential, or read a
    credential on its way.
    """
    if settings.insecure_no_auth and settings.require_token:
        raise InputError("--require-token and --insecure-no-auth contradict each other")
    mutual = settings.tls is not None and settings.tls.client_ca is not None
    for option, address in (("--grpc", settings.grpc), ("--http", settings.http)):
        open_to_others = not is_loopback(parse_address(address).host)
        if not asks_for_token(settings, address):
            continue
        if not has_tokens and not (mutual and option == "--grpc"):
            raise InputError(
                f"{option} {address}: asks for a token and there is none; make one with "
                f"'airreid ap token add --data-dir {settings.data_dir} --name NAME --scope admin', "
                "or give --insecure-no-auth on a closed network"
            )
        if open_to_others and settings.tls is None and not settings.insecure_plaintext:
            raise InputError(
                f"{option} {address}: tokens would come in plain text; give --tls-cert and "
                "--tls-key, or --insecure-plaintext on a closed network"
            )
