"""The edge as a service: crops in over gRPC, answers out, one uplink stream per caller."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import aio

from airreid import log
from airreid.client import MESSAGE_OPTIONS
from airreid.errors import InputError
from airreid.images import decode
from airreid.payload import Link
from airreid.serving import serve, told_to_stop
from airreid.v1 import common_pb2, edge_pb2, edge_pb2_grpc, uplink_pb2, uplink_pb2_grpc
from edge.blocks import BlockMaker
from edge.encoder import Encoder

Context = aio.ServicerContext[Any, Any]


class EdgeServicer(edge_pb2_grpc.EdgeServiceServicer):
    """Encodes crops one at a time in a worker thread and forwards them."""

    def __init__(
        self,
        encoder: Encoder,
        uplink: aio.Channel,
        target: str,
        scheme_id: str,
        link: Link,
        edge_id: str,
    ) -> None:
        self._encoder = encoder
        self._stub = uplink_pb2_grpc.UplinkServiceStub(uplink)
        self._target = target
        self._scheme_id = scheme_id
        self._link = link
        self._maker = BlockMaker(edge_id, encoder.bundle.bundle_id)
        self._encoding = asyncio.Lock()

    async def Identify(
        self,
        request_iterator: AsyncIterator[edge_pb2.IdentifyRequest],
        context: Context,
    ) -> AsyncIterator[edge_pb2.IdentifyResponse]:
        done: asyncio.Queue[edge_pb2.IdentifyResponse] = asyncio.Queue(64)
        waiting: dict[int, edge_pb2.IdentifyResponse] = {}
        pump = asyncio.create_task(self._pump(request_iterator, waiting, done))
        try:
            while not (pump.done() and done.empty()):
                getter = asyncio.create_task(done.get())
                await asyncio.wait({getter, pump}, return_when=asyncio.FIRST_COMPLETED)
                if getter.done():
                    yield getter.result()
                else:
                    getter.cancel()
            reason = _why(pump) or (waiting and f"{len(waiting)} crops were not answered")
            if reason:
                log.warning("uplink_broke", target=self._target, reason=reason)
                await context.abort(grpc.StatusCode.UNAVAILABLE, f"uplink {self._target}: {reason}")
        finally:
            pump.cancel()

    async def _pump(
        self,
        requests: AsyncIterator[edge_pb2.IdentifyRequest],
        waiting: dict[int, edge_pb2.IdentifyResponse],
        done: asyncio.Queue[edge_pb2.IdentifyResponse],
    ) -> None:
        """Sends every crop up the link and puts every outcome into ``done``."""

        async def blocks() -> AsyncIterator[uplink_pb2.QueryRequest]:
            async for request in requests:
                response = edge_pb2.IdentifyResponse(name=request.name[:256])
                started = time.perf_counter()
                try:
                    async with self._encoding:
                        block = await asyncio.to_thread(self._block, request)
                except InputError as error:
                    response.status.code = common_pb2.CODE_INVALID
                    response.status.message = str(error)
                    await done.put(response)
                    continue
                except Exception as error:  # one crop must not end the stream
                    log.warning("encode_failed", error=str(error))
                    response.status.code = common_pb2.CODE_INTERNAL
                    response.status.message = f"{response.name}: edge: {type(error).__name__}"
                    await done.put(response)
                    continue
                response.encode_ms = (time.perf_counter() - started) * 1e3
                waiting[block.id.sequence] = response
                yield block

        async for answer in self._stub.Query(blocks()):
            response = waiting.pop(answer.id.sequence, None)
            if response is not None:
                response.status.CopyFrom(answer.status)
                response.answer.CopyFrom(answer)
                await done.put(response)

    def _block(self, request: edge_pb2.IdentifyRequest) -> uplink_pb2.QueryRequest:
        image = decode(request.image, request.name[:256] or "image")
        features = self._encoder.features([image])
        [payload] = self._encoder.payloads(features, self._scheme_id, self._link)
        return self._maker.block(payload, self._scheme_id, request.top_k)


def _why(pump: asyncio.Task[None]) -> str:
    """Why a finished pump did not end well; empty if it did."""
    if pump.cancelled():
        return "the stream was cancelled"
    error = pump.exception()
    if isinstance(error, aio.AioRpcError):
        return error.details() or error.code().name
    return "" if error is None else type(error).__name__


async def run(
    encoder: Encoder, listen: str, to: str, scheme_id: str, link: Link | None, edge_id: str
) -> None:
    """Serves until told to stop. ``link`` None means the scheme's usual one.

    Raises :class:`InputError` if ``listen`` is taken and for a link that the scheme lacks.
    """
    link = encoder.link(scheme_id, link)
    stop = told_to_stop()
    async with aio.insecure_channel(to, options=MESSAGE_OPTIONS) as channel:
        servicer = EdgeServicer(encoder, channel, to, scheme_id, link, edge_id)

        def register(server: aio.Server) -> list[str]:
            edge_pb2_grpc.add_EdgeServiceServicer_to_server(servicer, server)
            return [edge_pb2.DESCRIPTOR.services_by_name["EdgeService"].full_name]

        async with serve(listen, register) as port:
            log.event("ready", grpc_port=port, to=to, scheme=scheme_id, link=link, edge_id=edge_id)
            await stop.wait()
