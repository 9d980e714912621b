"""Settings and state of a running edge, served and asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
from grpc import aio

from airreid import log
from airreid.client import Connection
from airreid.errors import AirReidError, InputError
from airreid.payload import LINKS, Link
from airreid.v1 import edge_pb2, edge_pb2_grpc
from edge.pipeline import Pipeline
from edge.spool import Spool

Context = aio.ServicerContext[Any, Any]


class EdgeControl(edge_pb2_grpc.EdgeControlServiceServicer):
    """Changes how frames are sent, while they are sent."""

    def __init__(
        self,
        pipeline: Pipeline,
        spool: Spool,
        bundle_id: str,
        connected: Callable[[], bool],
        refusal: Callable[[], str] = str,
    ) -> None:
        self._pipeline = pipeline
        self._spool = spool
        self._bundle_id = bundle_id
        self._connected = connected
        self._refusal = refusal

    async def Set(self, request: edge_pb2.SetRequest, context: Context) -> edge_pb2.EdgeState:
        before = self._pipeline.sending
        scheme = request.scheme_id or before.scheme_id
        try:
            link = check_link_name(request.link) if request.link else None
            if link is None and scheme == before.scheme_id:
                link = before.link
            sending = await asyncio.to_thread(self._pipeline.switch, scheme, link)
        except AirReidError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        log.event("sending", scheme=sending.scheme_id, link=sending.link)
        return await self._state()

    async def Get(self, request: edge_pb2.GetRequest, context: Context) -> edge_pb2.EdgeState:
        return await self._state()

    async def _state(self) -> edge_pb2.EdgeState:
        sending = self._pipeline.sending
        return edge_pb2.EdgeState(
            edge_id=self._spool.edge_id,
            spool_id=self._spool.spool_id,
            bundle_id=self._bundle_id,
            scheme_id=sending.scheme_id,
            link=sending.link,
            accepted=await asyncio.to_thread(lambda: self._spool.accepted),
            waiting=self._spool.waiting,
            connected=self._connected(),
            refusal=self._refusal(),
        )


class EdgeClient(Connection):
    """The controls of a running edge. Every method raises :class:`airreid.errors.LinkError`."""

    takes_credentials = False
    service = "an edge that listens, port 50050 unless it was told otherwise"

    def __init__(self, target: str, connect_seconds: float = 10.0) -> None:
        super().__init__(target, connect_seconds)
        self._stub = edge_pb2_grpc.EdgeControlServiceStub(self._channel)

    def set(self, scheme_id: str = "", link: str = "") -> edge_pb2.EdgeState:
        """Changes the settings; an empty one stays as it is."""
        try:
            return self._stub.Set(edge_pb2.SetRequest(scheme_id=scheme_id, link=link))
        except grpc.RpcError as error:
            raise self._failure(error) from None

    def get(self) -> edge_pb2.EdgeState:
        try:
            return self._stub.Get(edge_pb2.GetRequest())
        except grpc.RpcError as error:
            raise self._failure(error) from None


def check_link_name(name: str) -> Link:
    """Returns a link by its name. Raises :class:`InputError` for another name."""
    for link in LINKS:
        if link == name:
            return link
    raise InputError(f"link {name!r}: use one of {', '.join(LINKS)}")
