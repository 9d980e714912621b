"""One process: gRPC and HTTP over the same gallery."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from grpc import aio
from prometheus_client import CollectorRegistry

from accesspoint.dashboard.mount import add_dashboard
from accesspoint.enrolment import Enrolment
from accesspoint.events import Feed
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.store import Store
from accesspoint.grpc_service import GalleryService
from accesspoint.receiver.blocks import Receiver
from accesspoint.receiver.metrics import ReceiverMetrics
from accesspoint.receiver.settings import ReceiverSettings
from accesspoint.receiver.stream import Uplink
from accesspoint.rest import build_app
from airreid import log
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.serving import parse_address, serve, told_to_stop
from airreid.v1 import gallery_pb2, gallery_pb2_grpc


class _Http(uvicorn.Server):
    """uvicorn without handlers for signals of its own: the process has them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


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
            f"cannot listen on {address}: {error.strerror or error}; choose another port"
        ) from None
    return listener


def _warn_if_open(*addresses: str) -> None:
    """Says so when the gallery can be reached from other machines: it asks for no token."""
    for address in addresses:
        host = parse_address(address).host
        if host not in ("localhost", "::1") and not host.startswith("127."):
            log.warning("listening_beyond_loopback_without_tokens", address=address)


@contextlib.asynccontextmanager
async def _http(app: FastAPI, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=5
    )
    server = _Http(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


async def run(
    bundle: Bundle,
    data_dir: Path,
    grpc_listen: str,
    http: str,
    threads: int,
    uplink_settings: ReceiverSettings,
    channel: str | None = None,
) -> None:
    """Serves until told to stop. Raises :class:`InputError` for a port or folder in use.

    ``channel`` is HOST:PORT of a channel simulator whose knobs the dashboard shows.
    """
    stop = told_to_stop()
    store = Store(data_dir / "gallery.sqlite")
    gallery = Gallery(store, bundle, threads)
    enrolment = Enrolment(bundle, gallery, threads)
    metrics = ReceiverMetrics(CollectorRegistry())
    feed = Feed()
    uplink = Uplink(Receiver(bundle, gallery), uplink_settings, metrics, feed)

    def register(server: aio.Server) -> list[str]:
        service = GalleryService(bundle, gallery, enrolment)  # type: ignore[abstract]
        gallery_pb2_grpc.add_GalleryServiceServicer_to_server(service, server)
        return [
            uplink.register(server),
            gallery_pb2.DESCRIPTOR.services_by_name["GalleryService"].full_name,
        ]

    try:
        with _listening_socket(http) as listener:
            http_port = listener.getsockname()[1]
            app = build_app(bundle, gallery, enrolment)
            add_dashboard(app, feed, channel)
            _warn_if_open(grpc_listen, http)
            async with _http(app, listener), serve(grpc_listen, register) as grpc_port:
                await asyncio.to_thread(gallery.wait_ready)
                subjects, entries = gallery.counts()
                log.event(
                    "ready",
                    grpc_port=grpc_port,
                    http_port=http_port,
                    bundle=bundle.bundle_id,
                    subjects=subjects,
                    entries=entries,
                )
                await stop.wait()
                feed.close()
    finally:
        uplink.close()
        gallery.close()
        store.close()
