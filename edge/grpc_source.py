"""Crops in over gRPC from any detector, answers out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
from grpc import aio

from airreid.errors import AirReidError, InputError
from airreid.v1 import common_pb2, edge_pb2, edge_pb2_grpc
from edge.frames import (
    NAME_MAX,
    ClosedError,
    EncodeError,
    Frame,
    SpoolDiskError,
    SpoolFullError,
    check_track,
)
from edge.metrics import Metrics
from edge.pipeline import Pipeline
from edge.spool import Spool

Context = aio.ServicerContext[Any, Any]
MESSAGE_BYTES = (8 << 20) + 64 * 1024
"""Longest message: an image, as long as an access point takes one, and its names."""
STREAMS_MAX = 32
"""Streams at once: each may hold a message that is not yet complete, or waits for room."""
_UNDER_WAY = 64
"""Crops of one stream that are read ahead of their answers; more waits in the transport."""
_UNDER_WAY_BYTES = 16 << 20
"""Bytes of the messages of all streams that are read and not yet accepted, from which on none is
taken."""
_TOP_K_MAX = 1000


class _Crop:
    """One request on its way, and the response that is being made for it."""

    def __init__(self, request: edge_pb2.IdentifyRequest, service: GrpcSource) -> None:
        self.response = edge_pb2.IdentifyResponse(name=request.name[:NAME_MAX])
        self.accepting = asyncio.create_task(service.accept(request, self.response))
        self.accepting.add_done_callback(partial(service.taken, request.ByteSize()))
        self.task = asyncio.create_task(self._answer(service, request.accept_only))

    async def _answer(self, service: GrpcSource, accept_only: bool) -> None:
        outcome = await self.accepting
        if outcome is not None and not accept_only:
            await service.answer(outcome, self.response)

    def cancel(self) -> None:
        self.accepting.cancel()
        self.task.cancel()


class GrpcSource(edge_pb2_grpc.EdgeServiceServicer):
    """The gRPC service that takes crops: each is accepted, then answered.

    Streams share one pipeline and one spool.
    """

    def __init__(self, pipeline: Pipeline, spool: Spool, metrics: Metrics) -> None:
        self._pipeline = pipeline
        self._spool = spool
        self._metrics = metrics
        self._bytes = 0
        """Bytes of the messages that are read and not yet accepted."""
        self._changed = asyncio.Event()

    def taken(self, size: int, _: asyncio.Task[Any]) -> None:
        """Notes that a message of so many bytes is accepted or refused."""
        self._bytes -= size
        self._changed.set()

    async def _room(self, size: int) -> None:
        """Waits until a message may be taken on, then counts it."""
        while self._bytes > _UNDER_WAY_BYTES:
            self._changed.clear()
            await self._changed.wait()
        self._bytes += size

    async def Identify(
        self,
        request_iterator: AsyncIterator[edge_pb2.IdentifyRequest],
        context: Context,
    ) -> AsyncIterator[edge_pb2.IdentifyResponse]:
        done: asyncio.Queue[_Crop | None] = asyncio.Queue()
        room = asyncio.Semaphore(_UNDER_WAY)
        crops: set[_Crop] = set()

        async def read() -> None:
            async for request in request_iterator:
                await room.acquire()
                await self._room(request.ByteSize())
                crop = _Crop(request, self)
                del request
                crops.add(crop)
                crop.task.add_done_callback(partial(_put, done, crop))

        reader = asyncio.create_task(read())
        reader.add_done_callback(lambda _: done.put_nowait(None))
        try:
            while crops or not reader.done():
                crop = await done.get()
                if crop is None:
                    reader.result()
                    continue
                error = crop.task.exception()
                if error is not None:
                    reader.cancel()
                    async for accepted in _accepted(crops):
                        yield accepted
                    await context.abort(_code(error), str(error))
                crops.discard(crop)
                room.release()
                yield crop.response
        finally:
            reader.cancel()
            for crop in crops:
                crop.cancel()

    async def accept(
        self, request: edge_pb2.IdentifyRequest, response: edge_pb2.IdentifyResponse
    ) -> asyncio.Future[Any] | None:
        """Has a crop accepted; its answer's future, or None for a crop that cannot be used.

        Raises :class:`AirReidError` for one that may be offered again.
        """
        status = response.status
        try:
            frame, wants_outcome = _frame(request), not request.accept_only
            del request  # the frame has what is needed
            future = self._pipeline.submit(frame, wants_outcome=wants_outcome)
            del frame
            accepted = await asyncio.wrap_future(future)
        except InputError as error:
            status.code, status.message = common_pb2.CODE_INVALID, str(error)
        except EncodeError as error:
            status.code, status.message = common_pb2.CODE_INTERNAL, str(error)
        else:
            status.code = common_pb2.CODE_OK
            response.id.CopyFrom(self._spool.block_id(accepted.sequence))
            response.encode_ms = accepted.encode_ms
            return asyncio.wrap_future(accepted.outcome)
        self._metrics.rejected.labels("grpc").inc()
        return None

    async def answer(
        self, outcome: asyncio.Future[Any], response: edge_pb2.IdentifyResponse
    ) -> None:
        """Waits for the recorded answer and fills it in."""
        answered = await outcome
        if answered is None:
            response.status.code = common_pb2.CODE_EXPIRED
            response.status.message = f"{response.name}: given up, older than the deadline"
        else:
            response.status.CopyFrom(answered.response.status)
            response.answer.CopyFrom(answered.response)


def _put(done: asyncio.Queue[_Crop | None], crop: _Crop, _: asyncio.Task[None]) -> None:
    done.put_nowait(crop)


def _frame(request: edge_pb2.IdentifyRequest) -> Frame:
    name = request.name[:NAME_MAX]
    if request.top_k > _TOP_K_MAX:
        raise InputError(f"{name}: top_k is {request.top_k}; at most {_TOP_K_MAX}")
    track = check_track(request.track_id, name or "image")
    return Frame("grpc", name, request.image, track, request.top_k)


async def _accepted(crops: set[_Crop]) -> AsyncIterator[edge_pb2.IdentifyResponse]:
    """A response for every crop of a stream that has to end: what is in the spool stays there."""
    await asyncio.wait([crop.accepting for crop in crops])
    for crop in crops:
        failed = crop.accepting.cancelled() or crop.accepting.exception()
        if not failed and not (crop.task.done() and crop.task.exception()):
            yield crop.response


def _code(error: BaseException) -> grpc.StatusCode:
    if isinstance(error, (SpoolFullError, SpoolDiskError)):
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    if isinstance(error, (ClosedError, AirReidError)):
        return grpc.StatusCode.UNAVAILABLE
    return grpc.StatusCode.INTERNAL
