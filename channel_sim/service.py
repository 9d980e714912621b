"""The proxy: the same uplink service as the access point, with a radio in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from airreid import log, memory
from airreid.call_limits import CallLimits
from airreid.client import MESSAGE_OPTIONS
from airreid.credentials import NOBODY, ClientCredentials, check_listening
from airreid.descriptors import budget, raise_limit
from airreid.serving import GRPC_CONNECTIONS, serve, told_to_stop
from airreid.v1 import channel_pb2, channel_pb2_grpc, uplink_pb2
from airreid.wire import BLOCK_BYTES_MAX
from channel_sim.control import ChannelControl
from channel_sim.delay import Air, DelaySettings, later
from channel_sim.links import Links
from channel_sim.metrics import serve_metrics
from channel_sim.settings import ServeSettings
from channel_sim.transmission import ChannelTransmission
from channel_sim.upstreams import OPTIONS, Upstreams

Context = aio.ServicerContext[Any, Any]
_Query = aio.StreamStreamMultiCallable[uplink_pb2.QueryRequest | bytes, bytes]
UPLINK = uplink_pb2.DESCRIPTOR.services_by_name["UplinkService"].full_name
_TOKEN = "authorization"
CONTROL = channel_pb2.DESCRIPTOR.services_by_name["ChannelControlService"].full_name
CHANNEL = channel_pb2.DESCRIPTOR.services_by_name["ChannelService"].full_name
_UNTOLD = "Internal error from Core"
"""Words of grpc.aio in place of the status of a stream that ended while a request was
written to it (https://github.com/grpc/grpc/issues/36066)."""
_ASKED_AGAIN_S = 5.0
_NO_DELAY = DelaySettings()
_MESSAGE_BYTES = 4 * 1024 * 1024
"""Longest message: a call of ``Transmit``, or a trace of an SNR."""
_LIMITS = CallLimits(_MESSAGE_BYTES, reading=16, when_full="wait")


class UplinkProxy:
    """Proxy of the uplink: one upstream stream for each stream of an edge.

    A request is read when the one before it has been written upstream, and an answer
    when the edge has taken the one before it: back-pressure goes through, and nothing
    is queued here. Between two requests of a stream the others have their turn. Answers
    are not looked into: they pass as bytes.
    """

    def __init__(
        self,
        links: Links,
        upstreams: Upstreams,
        target: str,
        credentials: ClientCredentials = NOBODY,
        delay: DelaySettings = _NO_DELAY,
    ) -> None:
        """The token of an edge passes through; a stream without one shows ``credentials``'."""
        self._links = links
        self._air = Air(delay.symbol_rate) if delay.symbol_rate is not None else None
        self._round_trip = delay.round_trip_ms / 1e3
        self._credentials = credentials
        self._upstreams = upstreams
        self._target = target

    def register(self, server: aio.Server) -> None:
        query: grpc.RpcMethodHandler[uplink_pb2.QueryRequest | bytes, bytes]
        query = grpc.stream_stream_rpc_method_handler(self._pass, _parse, response_serializer=None)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(UPLINK, {"Query": query}),)
        )

    def _faded(self, request: uplink_pb2.QueryRequest | bytes) -> bytes:
        """Sends a block over the radio, on its way out, and returns the request as bytes."""
        if isinstance(request, bytes):
            return request
        self._links.transmit(request)
        return request.SerializeToString()

    def _query(self, peer: str) -> _Query:
        """Returns what begins a stream to the access point for one of a camera."""
        query: _Query = self._upstreams.of(peer).stream_stream(
            f"/{UPLINK}/Query", request_serializer=self._faded, response_deserializer=None
        )
        return query

    async def _pass(
        self, requests: AsyncIterator[uplink_pb2.QueryRequest | bytes], context: Context
    ) -> AsyncIterator[bytes]:
        stats = self._links.stats
        shown = [pair for pair in context.invocation_metadata() or () if pair[0] == _TOKEN]
        metadata = aio.Metadata(*(shown or self._credentials.metadata))
        if self._air is not None:
            requests = _carried(requests, self._air)
        query = self._query(context.peer())
        call = query(requests, timeout=context.time_remaining(), metadata=metadata)
        answers = later(call, self._round_trip) if self._round_trip else call
        stats.streams += 1
        error: aio.AioRpcError | None = None
        try:
            async for response in answers:
                yield response
            return
        except aio.AioRpcError as failure:
            error = await _refusal(query, failure, metadata)
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
        finally:
            stats.streams -= 1
            call.cancel()
            if isinstance(answers, AsyncGenerator):
                await answers.aclose()
        await self._tell(error, context)

    async def _tell(self, error: aio.AioRpcError | None, context: Context) -> None:
        """Ends an edge's stream as its upstream stream ended; None if that is not known.

        grpc.aio cancels a call itself if a request cannot be written to it just as the access
        point goes, and its server sends no status for a handler that is cancelled so: the edge
        would wait for ever.
        """
        stats = self._links.stats
        if error is None:
            stats.upstream_errors += 1
            log.warning("upstream_broke_off", target=self._target)
            await context.abort(
                grpc.StatusCode.UNAVAILABLE,
                f"channel: the stream to access point {self._target} broke off; open it again",
            )
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            stats.upstream_errors += 1
            log.warning("upstream_unavailable", target=self._target)
            await context.abort(
                grpc.StatusCode.UNAVAILABLE,
                f"channel: access point {self._target} does not answer; start it, "
                "or give the channel another --upstream",
            )
        if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
            stats.upstream_errors += 1
        await context.abort(error.code(), error.details() or "")


async def _refusal(
    query: _Query, error: aio.AioRpcError, metadata: aio.Metadata
) -> aio.AioRpcError | None:
    """Returns the access point's own status in place of one that gRPC lost, or None if it does
    not say: a stream without a request, for which nothing is written, is refused for the same
    reason."""
    if error.details() != _UNTOLD:
        return error
    again = query(_nothing(), timeout=_ASKED_AGAIN_S, metadata=metadata)
    try:
        async for _ in again:
            pass
    except aio.AioRpcError as refusal:
        return refusal
    except asyncio.CancelledError:
        if _is_being_cancelled():
            raise
    return None


def _is_being_cancelled() -> bool:
    """Returns whether somebody has cancelled the task that runs, not just what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _carried(
    requests: AsyncIterator[uplink_pb2.QueryRequest | bytes], air: Air
) -> AsyncIterator[uplink_pb2.QueryRequest | bytes]:
    """Yields requests when their blocks have gone out; what is none takes no time."""
    async for request in requests:
        if not isinstance(request, bytes):
            await air.carry(request)
        yield request


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for request in nothing:
        yield request


def _parse(data: bytes) -> uplink_pb2.QueryRequest | bytes:
    """Reads a request; what is none, or too long, passes on as it is, for the access point to
    answer."""
    if len(data) > BLOCK_BYTES_MAX:
        return data
    try:
        return uplink_pb2.QueryRequest.FromString(data)
    except DecodeError:
        return data


async def run(settings: ServeSettings) -> None:
    """Serves until told to stop; the settings' credentials are shown to the access point.

    Raises :class:`InputError` if ``listen`` or ``metrics`` is taken.
    """
    memory.keep_little()
    strangers = "send blocks, change every link, and use the radio"
    check_listening(settings.listen, settings.insecure_no_auth, strangers)
    stop, links = told_to_stop(), Links(settings.link)
    credentials, upstream = settings.credentials, settings.upstream
    credentials.check(upstream)
    async with contextlib.AsyncExitStack() as stack:
        options = [*MESSAGE_OPTIONS, *OPTIONS]
        upstreams = await stack.enter_async_context(
            Upstreams(lambda: credentials.aio_channel(upstream, options))
        )

        def register(server: aio.Server) -> list[str]:
            UplinkProxy(links, upstreams, upstream, credentials, settings.delay).register(server)
            channel_pb2_grpc.add_ChannelControlServiceServicer_to_server(
                ChannelControl(links, stop), server
            )
            channel_pb2_grpc.add_ChannelServiceServicer_to_server(
                ChannelTransmission(links), server
            )
            return [UPLINK, CONTROL, CHANNEL]

        serving = serve(
            settings.listen,
            register,
            limits={CONTROL: _LIMITS, CHANNEL: _LIMITS},
            message_bytes=_MESSAGE_BYTES,
            connections=budget(raise_limit(), GRPC_CONNECTIONS, 0).grpc,
            otherwise="choose another --listen",
        )
        ports = {"grpc_port": await stack.enter_async_context(serving)}
        if settings.metrics is not None:
            ports["metrics_port"] = stack.enter_context(
                serve_metrics(settings.metrics, links.stats)
            )
        memory.leave_alone()
        log.event("ready", **ports, upstream=upstream, **settings.link.described())
        await stop.wait()
