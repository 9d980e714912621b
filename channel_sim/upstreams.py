"""Connections to the access point: cameras of one address share one, and take no other's along.

The access point ends a connection that floods it, or of which call upon call is refused, with all
streams on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from grpc import aio

from airreid.port_sockets import network_of, peer_of

CONNECTIONS_MAX = 64
"""Connections at once; where cameras have more addresses, some share one."""
OPTIONS = [("grpc.use_local_subchannel_pool", 1)]
"""Options without which channels to one target would be one connection."""


class Upstreams:
    """Connections, each opened for the first stream of its cameras; in one event loop.

    A context manager, which closes them.
    """

    def __init__(self, connect: Callable[[], aio.Channel]) -> None:
        """``connect`` opens a channel with :data:`OPTIONS`."""
        self._connect = connect
        self._channels: dict[str, aio.Channel] = {}
        """Connections by the network of the cameras that came first."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels.values():
            await channel.close()

    def of(self, peer: str) -> aio.Channel:
        """Returns the connection of a camera, named as gRPC names a peer."""
        known = peer_of(peer)
        network = network_of(known[0]) if known else ""
        if network not in self._channels and len(self._channels) >= CONNECTIONS_MAX:
            network = list(self._channels)[hash(network) % CONNECTIONS_MAX]
        if network not in self._channels:
            self._channels[network] = self._connect()
        return self._channels[network]
