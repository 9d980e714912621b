"""Cameras of one address have a connection of their own to the access point."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpc import aio

from airreid.channels.settings import LinkSettings
from airreid.v1 import uplink_pb2, uplink_pb2_grpc
from channel_sim.links import Links
from channel_sim.service import UplinkProxy
from channel_sim.upstreams import CONNECTIONS_MAX, OPTIONS, Upstreams

from .conftest import Request, block


class Peers(uplink_pb2_grpc.UplinkServiceServicer):
    """An access point that notes by camera who brings its blocks."""

    def __init__(self) -> None:
        self.of: dict[str, set[str]] = {}

    async def Query(
        self, request_iterator: AsyncIterator[Request], context: Any
    ) -> AsyncIterator[uplink_pb2.QueryResponse]:
        async for request in request_iterator:
            self.of.setdefault(request.id.edge_id, set()).add(context.peer())
            yield uplink_pb2.QueryResponse(id=request.id)


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@pytest.mark.skipif(not _has_ipv6(), reason="a second loopback address for gRPC's clients")
async def test_cameras_of_two_addresses_come_by_two_connections() -> None:
    peers, ap, proxy = Peers(), aio.server(), aio.server()
    uplink_pb2_grpc.add_UplinkServiceServicer_to_server(peers, ap)
    target = f"127.0.0.1:{ap.add_insecure_port('127.0.0.1:0')}"
    addresses = [
        f"{host}:{proxy.add_insecure_port(f'{host}:0')}" for host in ("127.0.0.1", "[::1]")
    ]
    async with Upstreams(lambda: aio.insecure_channel(target, options=OPTIONS)) as upstreams:
        UplinkProxy(Links(LinkSettings()), upstreams, target).register(proxy)
        await ap.start()
        await proxy.start()
        for number, address in enumerate(2 * addresses):
            async with aio.insecure_channel(address) as channel:
                call = uplink_pb2_grpc.UplinkServiceStub(channel).Query(
                    iter([block(f"cam-{number % 2}", number)])
                )
                assert len([answer async for answer in call]) == 1
        await proxy.stop(None)
    await ap.stop(None)
    assert [len(peers.of[name]) for name in ("cam-0", "cam-1")] == [1, 1]
    assert not peers.of["cam-0"] & peers.of["cam-1"]


async def test_there_are_no_more_connections_than_so_many() -> None:
    opened: list[aio.Channel] = []

    def connect() -> aio.Channel:
        opened.append(aio.insecure_channel("127.0.0.1:1"))
        return opened[-1]

    async with Upstreams(connect) as upstreams:
        first = [upstreams.of(f"ipv4:10.0.0.{place}:5") for place in range(CONNECTIONS_MAX)]
        assert len({id(channel) for channel in first}) == CONNECTIONS_MAX
        further = [upstreams.of(f"ipv4:10.0.{place}.1:5") for place in range(1, 200)]
        further.append(upstreams.of("unix:"))
        assert len(opened) == CONNECTIONS_MAX
        assert len({id(channel) for channel in further}) > CONNECTIONS_MAX // 2
