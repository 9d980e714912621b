"""Common parts of all gRPC services: health, reflection, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Mapping

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from airreid import log
from airreid.addresses import check_free, parse_address
from airreid.call_limits import SMALL, BoundedCalls, CallLimits
from airreid.client import (
    KEEPALIVE_ANSWER_SECONDS,
    KEEPALIVE_SECONDS,
    MAX_MESSAGE_BYTES,
    keepalive,
)
from airreid.counted_calls import CountedCalls
from airreid.errors import InputError
from airreid.flood_watch import FloodWatch
from airreid.interruption import ending_signals
from airreid.reading_turns import ReadingTurns

GRACE_SECONDS = 5.0
HANDSHAKE_SECONDS = 10.0
"""Time that a new connection has for TLS and its first words of HTTP/2."""
GRPC_CONNECTIONS = 4096
"""Connections at once."""
STREAMS_PER_CONNECTION = 2048
"""Calls and streams of one connection, at most."""
_IDENTITY_ONLY = 1
"""The set of compression algorithms that has no compression in it."""
_READ_BYTES = 64 << 10
"""Bytes that are read from a connection at once; what they hold is handled before any other's."""
_READY_SECONDS = 0.2
_LEAST_PING_MS, _PING_STRIKES = 5_000, 5
"""Clients may ask whether the server is there this often; one that floods it is cut off."""


@contextlib.asynccontextmanager
async def serve(
    listen: str,
    register: Callable[[aio.Server], list[str]],
    credentials: grpc.ServerCredentials | None = None,
    ready: Callable[[], bool] = lambda: True,
    *,
    limits: Mapping[str, CallLimits] = {},
    message_bytes: int = MAX_MESSAGE_BYTES,
    connections: int = GRPC_CONNECTIONS,
    keepalive_seconds: float = KEEPALIVE_SECONDS,
    otherwise: str = "choose another",
    turns: ReadingTurns | None = None,
) -> AsyncIterator[int]:
    """Serves gRPC on ``listen`` and yields the bound port.

    ``limits`` bound the calls of services by full name; a service without one bounds its own.
    Their long messages take ``turns``, those of other services of the port if it has any.
    No message is longer than ``message_bytes``, and none is compressed. At most ``connections``
    are open, and one on which nothing is heard for ``keepalive_seconds`` is asked, and closed
    with its streams if it does not answer. One that floods is ended (:class:`FloodWatch`).

    ``register`` adds the services and returns their full names, which health and
    reflection then cover; health says SERVING while ``ready`` does. Plain text without
    ``credentials``. On leaving, health says NOT_SERVING, calls get ``GRACE_SECONDS`` to
    finish, and the port is freed. Raises :class:`InputError` when the address cannot be
    bound, which says ``otherwise`` as the way out, or the credentials cannot be used.
    """
    address = parse_address(listen)
    check_free(address, otherwise)
    all_limits = {health.SERVICE_NAME: SMALL, reflection.SERVICE_NAME: SMALL, **limits}
    bounded = BoundedCalls(all_limits, turns or ReadingTurns())
    longest = {name: bound.message_bytes for name, bound in all_limits.items()}
    counted = CountedCalls(message_bytes, longest)
    server = aio.server(
        options=_options(message_bytes, connections, keepalive_seconds),
        interceptors=[counted, bounded],
    )
    names = register(server)
    checker = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    reflection.enable_server_reflection(
        [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server
    )
    try:
        if credentials is None:
            port = server.add_insecure_port(str(address))
        else:
            port = server.add_secure_port(str(address), credentials)
    except RuntimeError:
        port = 0
    if port == 0:
        also = "" if credentials is None else ", or the certificate and key do not fit"
        raise InputError(
            f"cannot listen on {address}: the port is in use or not yours{also}; {otherwise}"
        )
    await server.start()
    watcher = asyncio.create_task(_follow(checker, ["", *names], ready))
    try:
        with FloodWatch(port, counted, message_bytes):
            yield port
    finally:
        watcher.cancel()
        await checker.enter_graceful_shutdown()
        await server.stop(GRACE_SECONDS)


def _options(
    message_bytes: int, connections: int, keepalive_seconds: float
) -> list[tuple[str, int]]:
    """Returns the options of a server; what they name is refused before it is held in memory."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.http2.bdp_probe", 0),  # or what may wait unread grows with the speed of the network
        ("grpc.max_receive_message_length", message_bytes),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ONLY),
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION),
        ("grpc.experimental.tcp_max_read_chunk_size", _READ_BYTES),
        ("grpc.server_handshake_timeout_ms", int(HANDSHAKE_SECONDS * 1e3)),
        ("grpc.http2.settings_timeout", int(HANDSHAKE_SECONDS * 1e3)),
        *keepalive(keepalive_seconds, min(keepalive_seconds, KEEPALIVE_ANSWER_SECONDS)),
        ("grpc.http2.min_ping_interval_without_data_ms", _LEAST_PING_MS),
        ("grpc.http2.max_ping_strikes", _PING_STRIKES),
    ]


async def _follow(
    checker: health.aio.HealthServicer, names: list[str], ready: Callable[[], bool]
) -> None:
    """Says over and over whether the services serve."""
    reported: bool | None = None
    while True:
        if (now := ready()) != reported:
            status = health_pb2.HealthCheckResponse
            for name in names:
                await checker.set(name, status.SERVING if now else status.NOT_SERVING)
            reported = now
        await asyncio.sleep(_READY_SECONDS)


def told_to_stop() -> asyncio.Event:
    """Returns an event that SIGINT, SIGTERM and SIGHUP set: ask for it before saying ready."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell() -> None:
        log.event("stopping")
        stop.set()

    for number in (signal.SIGINT, *ending_signals()):
        loop.add_signal_handler(number, tell)
    return stop
