"""Server process of an access point: gRPC and HTTP over the same gallery."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import AsyncIterator

import uvicorn
from grpc import aio
from threadpoolctl import threadpool_limits

from accesspoint.api.grpc_calls import GalleryCalls
from accesspoint.api.grpc_gallery import GalleryMethods
from accesspoint.api.guard import Guard, Limits, PublicAddress, starting
from accesspoint.api.http_server import ConnectionLimits, HttpServer
from accesspoint.api.rest import build_app
from accesspoint.api.streams import stream_access
from accesspoint.api.tokens import TokenFile
from accesspoint.assembly import Services, access_control, access_point
from accesspoint.dashboard.mount import add_dashboard
from accesspoint.gallery.opening import ServedGallery
from accesspoint.matching.tracks import TrackFusion
from accesspoint.receiver.blocks import Receiver
from accesspoint.receiver.metrics import ReceiverMetrics
from accesspoint.receiver.stream import Uplink
from accesspoint.settings import ServeSettings, Tls, check_exposure
from airreid import log, memory
from airreid.addresses import parse_address
from airreid.bundle import Bundle
from airreid.credentials import is_loopback, read_pem, server_credentials
from airreid.descriptors import budget, raise_limit
from airreid.errors import InputError
from airreid.reading_turns import ReadingTurns
from airreid.serving import GRPC_CONNECTIONS, serve, told_to_stop

_LOOK_SECONDS = 0.5
_SWITCH_SECONDS = 0.0005
"""Time for which a thread keeps the interpreter while another waits for it. An answer to a camera
passes through several threads; with Python's 5 ms each pass would wait for what HTTP does."""


def _listening_socket(listen: str) -> socket.socket:
    address = parse_address(listen)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.host, address.port))
    except OSError as error:
        listener.close()
        raise InputError(
            f"cannot listen on {address}: {error.strerror or error}; choose another --http"
        ) from None
    return listener


def _warn_if_open(settings: ServeSettings) -> None:
    """Logs a warning where others can reach the gallery without a token."""
    for address in (settings.grpc, settings.http):
        if settings.insecure_no_auth and not is_loopback(parse_address(address).host):
            log.warning("listening_beyond_loopback_without_tokens", address=address)


@contextlib.asynccontextmanager
async def _http(
    app: Guard, listener: socket.socket, tls: Tls | None, limits: ConnectionLimits
) -> AsyncIterator[HttpServer]:
    if tls is not None:  # a pipe, which OpenSSL would wait for, is none
        read_pem(tls.cert)
        read_pem(tls.key)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
        server_header=False,
        ssl_certfile=None if tls is None else tls.cert,
        ssl_keyfile=None if tls is None else tls.key,
    )
    try:
        config.load()
    except (ssl.SSLError, OSError) as error:
        raise InputError(f"--tls-cert and --tls-key cannot be used together ({error})") from None
    server = HttpServer(config, listener, limits)
    server.start()
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


async def run(bundle: Bundle, settings: ServeSettings) -> None:
    """Serves until told to stop.

    Raises :class:`InputError` for a port or folder in use, and for settings that would
    open the gallery to others (:func:`check_exposure`).
    """
    memory.keep_little()
    sys.setswitchinterval(_SWITCH_SECONDS)
    check_exposure(settings, bool(TokenFile(settings.data_dir).grants()))
    bundle = bundle.of_space(bundle.backbone.space_id)  # one gallery, one space
    threadpool_limits(1, "blas")  # a search is one thread's; others are answered meanwhile
    stop, access = told_to_stop(), access_control(settings)
    guard = Guard(
        starting,
        access.http,
        access.metrics,
        frozenset(settings.allow_hosts),
        Limits(settings.body_bytes, settings.requests),
        PublicAddress(frozenset(settings.public_origins), settings.root_path),
    )
    with _listening_socket(settings.http) as listener, contextlib.ExitStack() as stack:
        _warn_if_open(settings)
        room = budget(raise_limit(), GRPC_CONNECTIONS, settings.http_connections)
        connections = ConnectionLimits(room.http, min(room.http, settings.http_per_address))
        # ends before the gallery is closed
        async with _http(guard, listener, settings.tls, connections) as http:
            log.event("listening", http_port=listener.getsockname()[1])
            opening = access_point(bundle, settings, access)
            services = await asyncio.to_thread(stack.enter_context, opening)
            ports = {"http_port": listener.getsockname()[1]}
            await _serve(bundle, settings, services, guard, http, ports, room.grpc, stop)


def _readiness(gallery: ServedGallery) -> str:
    """Names the event to log once the gallery has been loaded."""
    if gallery.ready:
        return "ready"
    waits = gallery.writable is not None and gallery.writable.needs_reindex
    return "waits_for_reindex" if waits else "not_ready"


async def _tell_changes(gallery: ServedGallery) -> None:
    """Logs when the gallery stops doing what it should, why, and when it does so again."""
    reported = "" if gallery.ready else gallery.not_ready
    if reported:
        log.warning("not_ready_because", reason=reported)
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        reason = await asyncio.to_thread(lambda: gallery.not_ready)  # it looks at the disk
        if bool(reason) != bool(reported):
            if reason:
                log.warning("not_ready_because", reason=reason)
            else:
                log.event("ready_again")
        reported = reason


async def _serve(
    bundle: Bundle,
    settings: ServeSettings,
    services: Services,
    guard: Guard,
    http: HttpServer,
    ports: dict[str, int],
    connections: int,
    stop: asyncio.Event,
) -> None:
    rest, gallery = services.rest, services.gallery
    tracks = TrackFusion(settings.uplink.tracks) if settings.uplink.fuse_tracks else None
    uplink = Uplink(
        Receiver(bundle, gallery, tracks, settings.uplink.pieces),
        settings.uplink,
        ReceiverMetrics(rest.metrics.registry),
        services.feed,
        stream_access(services.grpc_access),
    )

    turns = ReadingTurns()

    def register(server: aio.Server) -> list[str]:
        calls = GalleryCalls(
            GalleryMethods(rest.service, rest.search_service, rest.jobs),
            services.grpc_access,
            rest.metrics,
            services.pools,
            settings.requests,
            settings.grpc_message_bytes,
            turns,
        )
        return [uplink.register(server), calls.register(server)]

    app = build_app(rest)
    add_dashboard(app, services.feed, settings.channel)
    guard.app = app
    tls = settings.tls
    credentials = None if tls is None else server_credentials(tls.cert, tls.key, tls.client_ca)
    try:
        async with serve(
            settings.grpc,
            register,
            credentials,
            rest.ready,
            message_bytes=settings.grpc_message_bytes,
            connections=connections,
            otherwise="choose another --grpc",
            turns=turns,
        ) as grpc_port:
            ports = {"grpc_port": grpc_port, **ports}
            waiting = asyncio.create_task(stop.wait())
            loading = asyncio.create_task(asyncio.to_thread(gallery.wait_ready))
            await asyncio.wait({waiting, loading}, return_when=asyncio.FIRST_COMPLETED)
            if not stop.is_set():
                if failure := gallery.load_failure:
                    waiting.cancel()
                    raise InputError(f"the gallery could not be loaded ({failure})")
                await asyncio.to_thread(memory.leave_alone)
                subjects, entries = gallery.counts()
                log.event(
                    _readiness(gallery),
                    **ports,
                    bundle=bundle.bundle_id,
                    subjects=subjects,
                    entries=entries,
                )
                telling = asyncio.create_task(_tell_changes(gallery))
                await waiting
                telling.cancel()
            http.call(services.feed.close)
            uplink.drain()
    finally:
        uplink.close()
