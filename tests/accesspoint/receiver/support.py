"""A receiver with people made of random features, served in this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc
import numpy as np
from grpc import aio
from prometheus_client import CollectorRegistry

from accesspoint.events import Feed
from accesspoint.receiver.blocks import Block, Receiver
from accesspoint.receiver.metrics import ReceiverMetrics
from accesspoint.receiver.settings import ReceiverSettings
from accesspoint.receiver.stream import SERVICE, Access, Uplink, anybody
from airreid.bundle import Bundle
from airreid.nested.pieces import pieces_of
from airreid.noise import NoiseStream
from airreid.offline import transmit_pieces
from airreid.payload import Analog, Coded, Link, put
from airreid.scheme_kinds import open_scheme
from airreid.v1 import common_pb2, uplink_pb2

SCHEME = "jscc-ae-64"
Whole = TypeVar("Whole", Analog, Coded)


def people(count: int, dim: int = 2048) -> np.ndarray:
    """float32 (count, dim)."""
    return np.random.default_rng(5).standard_normal((count, dim)).astype(np.float32)


class PieceCamera(Generic[Whole]):
    """Makes messages of pieces as received at an SNR: what a channel passes on."""

    def __init__(
        self, bundle_id: str, scheme_id: str, whole: Sequence[Whole], snr_db: float
    ) -> None:
        """``whole``: blocks of the first numbers, which then come again."""
        self.bundle_id, self.scheme_id = bundle_id, scheme_id
        self.whole, self.snr_db = whole, snr_db

    def message(
        self, sequence: int, first: int, uses: int, available: bool = True
    ) -> uplink_pb2.QueryRequest:
        request = uplink_pb2.QueryRequest(
            bundle_id=self.bundle_id,
            scheme_id=self.scheme_id,
            top_k=1,
            more_available=available,
        )
        request.id.CopyFrom(common_pb2.BlockId(edge_id="cam", spool_id="s", sequence=sequence))
        sent = pieces_of(self.whole[sequence % len(self.whole)], first, uses)
        put(transmit_pieces(sent, self.snr_db, NoiseStream(1, "cam"), sequence), request)
        request.channel.model, request.channel.snr_db = "awgn", self.snr_db
        return request


class Blocks:
    """Makes requests whose right answer is known: person n's block finds ``p{n}``."""

    def __init__(
        self,
        bundle: Bundle,
        features: np.ndarray,
        scheme_id: str = SCHEME,
        link: Link = "analog",
    ) -> None:
        self.bundle_id, self.scheme_id = bundle.bundle_id, scheme_id
        scheme = open_scheme(bundle, bundle.scheme(scheme_id), 1)
        self.payloads = scheme.pack(features, link)

    def __call__(
        self, sequence: int, edge: str = "cam", spool: str = "s", **fields: object
    ) -> uplink_pb2.QueryRequest:
        request = uplink_pb2.QueryRequest(
            bundle_id=self.bundle_id,
            scheme_id=self.scheme_id,
            top_k=1,
            **fields,  # type: ignore[arg-type]
        )
        request.id.edge_id, request.id.spool_id, request.id.sequence = edge, spool, sequence
        put(self.payloads[sequence % len(self.payloads)], request)
        return request

    def who(self, sequence: int) -> str:
        return f"p{sequence % len(self.payloads)}"


class Gated(Receiver):
    """Computes only while the gate is open, and never in the event loop; counts what it
    computes."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.gate = threading.Event()
        self.gate.set()
        self.seen: list[int] = []

    def is_local(self, scheme_id: str) -> bool:
        return False

    def process(self, scheme_id: str, blocks: Sequence[Block]) -> None:
        assert self.gate.wait(20)
        self.seen += [block.request.id.sequence for block in blocks]
        super().process(scheme_id, blocks)


@dataclass
class Served:
    """The service and what belongs to it."""

    address: str
    uplink: Uplink
    feed: Feed
    registry: CollectorRegistry

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"airreid_ap_uplink_{name}", labels) or 0.0


@asynccontextmanager
async def served(
    receiver: Receiver, access: Access = anybody, **settings: object
) -> AsyncIterator[Served]:
    registry, feed = CollectorRegistry(), Feed()
    chosen = ReceiverSettings.model_validate(settings)
    uplink = Uplink(receiver, chosen, ReceiverMetrics(registry), feed, access)
    server = aio.server()
    uplink.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield Served(f"127.0.0.1:{port}", uplink, feed, registry)
    finally:
        await server.stop(None)
        uplink.close()


class Stream:
    """A client's end that sends bytes as they are and does not keep to any window."""

    def __init__(self, address: str) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channel = aio.insecure_channel(address, options=options)
        query = self._channel.stream_stream(
            f"/{SERVICE}/Query",
            request_serializer=None,
            response_deserializer=uplink_pb2.QueryResponse.FromString,
        )
        self.call = query()

    async def send(self, *requests: uplink_pb2.QueryRequest | bytes) -> None:
        for request in requests:
            data = request if isinstance(request, bytes) else request.SerializeToString()
            await self.call.write(data)

    async def read(self, count: int = 1) -> list[uplink_pb2.QueryResponse]:
        answers = []
        for _ in range(count):
            answer = await asyncio.wait_for(self.call.read(), 20)
            assert isinstance(answer, uplink_pb2.QueryResponse), "the stream ended"
            answers.append(answer)
        return answers

    async def end(self) -> grpc.StatusCode:
        """Sends no more; the rest must be nothing, and the status is returned."""
        await self.call.done_writing()
        assert await asyncio.wait_for(self.call.read(), 20) is aio.EOF
        return await self.call.code()

    async def close(self) -> None:
        self.call.cancel()
        await self._channel.close()

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


async def ask(
    address: str, requests: Iterable[uplink_pb2.QueryRequest | bytes]
) -> list[uplink_pb2.QueryResponse]:
    """One stream that sends all and reads all answers; it must end well."""
    async with Stream(address) as stream:
        sending = asyncio.create_task(_send(stream, list(requests)))
        answers = [answer async for answer in stream.call]
        await sending
        assert await stream.call.code() is grpc.StatusCode.OK
    return answers


async def _send(stream: Stream, requests: list[uplink_pb2.QueryRequest | bytes]) -> None:
    await stream.send(*requests)
    await stream.call.done_writing()


async def until(condition: object, seconds: float = 20.0) -> None:
    """Waits for a condition; fails when it does not come true."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition():  # type: ignore[operator]
        assert asyncio.get_running_loop().time() < end, "waited in vain"
        await asyncio.sleep(0.005)
