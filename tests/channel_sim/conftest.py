"""The proxy and its controls within the test's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import aio

from airreid import wire
from airreid.channels.settings import LinkSettings
from airreid.credentials import NOBODY, ClientCredentials
from airreid.v1 import channel_pb2_grpc, common_pb2, uplink_pb2, uplink_pb2_grpc
from channel_sim.control import ChannelControl
from channel_sim.delay import DelaySettings
from channel_sim.links import Links
from channel_sim.service import UplinkProxy
from channel_sim.transmission import ChannelTransmission
from channel_sim.upstreams import Upstreams

Request = uplink_pb2.QueryRequest
Response = uplink_pb2.QueryResponse


@dataclass
class AccessPoint(uplink_pb2_grpc.UplinkServiceServicer):
    """Answers each block with its id; a link named here waits, or fails, first."""

    hold: dict[str, asyncio.Event] = field(default_factory=dict)
    fail: dict[str, grpc.StatusCode] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    seconds: list[float | None] = field(default_factory=list)
    tokens: list[list[str]] = field(default_factory=list)
    """Values of ``authorization`` that each stream showed."""

    async def Query(
        self, request_iterator: AsyncIterator[Request], context: Any
    ) -> AsyncIterator[Response]:
        self.seconds.append(context.time_remaining())
        metadata = context.invocation_metadata()
        self.tokens.append([value for key, value in metadata if key == "authorization"])
        async for request in request_iterator:
            link = request.id.edge_id
            self.read[link] = self.read.get(link, 0) + 1
            if link in self.fail:
                await context.abort(self.fail[link], "as the test wants")
            if link in self.hold:
                await self.hold[link].wait()
            yield Response(id=request.id, channel=request.channel, link="analog")


@dataclass
class Radio:
    links: Links
    ap: AccessPoint
    target: str
    stop: asyncio.Event
    proxy: UplinkProxy


@asynccontextmanager
async def radio_between(
    credentials: ClientCredentials = NOBODY, delay: DelaySettings | None = None
) -> AsyncIterator[Radio]:
    """An access point and a channel before it that shows ``credentials``."""
    ap, links, stop = AccessPoint(), Links(LinkSettings(snr_db=5, seed=1)), asyncio.Event()
    upstream, server = aio.server(), aio.server()
    uplink_pb2_grpc.add_UplinkServiceServicer_to_server(ap, upstream)
    ports = upstream.add_insecure_port("127.0.0.1:0"), server.add_insecure_port("127.0.0.1:0")
    async with aio.insecure_channel(f"127.0.0.1:{ports[0]}") as channel:
        proxy = UplinkProxy(
            links, Upstreams(lambda: channel), "upstream", credentials, delay or DelaySettings()
        )
        proxy.register(server)
        channel_pb2_grpc.add_ChannelControlServiceServicer_to_server(
            ChannelControl(links, stop), server
        )
        channel_pb2_grpc.add_ChannelServiceServicer_to_server(ChannelTransmission(links), server)
        await upstream.start()
        await server.start()
        try:
            yield Radio(links, ap, f"127.0.0.1:{ports[1]}", stop, proxy)
        finally:
            stop.set()
            await server.stop(0)
            await upstream.stop(0)


@pytest.fixture
async def radio() -> AsyncIterator[Radio]:
    async with radio_between() as between:
        yield between


def block(link: str, sequence: int, bandwidth: int = 256) -> Request:
    """A block of ones."""
    request = Request(id=common_pb2.BlockId(edge_id=link, sequence=sequence))
    request.analog.symbols = wire.to_bytes(np.ones(bandwidth, np.float32))
    return request
