"""The proxy: the same uplink service as the access point, with a radio in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import aio

from airreid import log
from airreid.client import MESSAGE_OPTIONS
from airreid.errors import InputError
from airreid.serving import serve, told_to_stop
from airreid.v1 import channel_pb2, channel_pb2_grpc, uplink_pb2, uplink_pb2_grpc
from channel_sim.links import Links, LinkSettings, link_settings, settings_to_proto

Context = aio.ServicerContext[Any, Any]


class UplinkProxy(uplink_pb2_grpc.UplinkServiceServicer):
    """One upstream stream for each stream of an edge; answers pass as they come."""

    def __init__(self, links: Links, upstream: aio.Channel, target: str) -> None:
        self._links = links
        self._stub = uplink_pb2_grpc.UplinkServiceStub(upstream)
        self._target = target

    async def Query(
        self,
        request_iterator: AsyncIterator[uplink_pb2.QueryRequest],
        context: Context,
    ) -> AsyncIterator[uplink_pb2.QueryResponse]:
        async def faded() -> AsyncIterator[uplink_pb2.QueryRequest]:
            async for request in request_iterator:
                self._links.transmit(request)
                yield request

        call = self._stub.Query(faded(), timeout=context.time_remaining())
        try:
            async for response in call:
                yield response
        except aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                log.warning("upstream_unavailable", target=self._target)
                await context.abort(
                    grpc.StatusCode.UNAVAILABLE,
                    f"channel: access point {self._target} does not answer; start it, "
                    "or give the channel another --upstream",
                )
            await context.abort(error.code(), error.details() or "")
        finally:
            call.cancel()


class ChannelControl(channel_pb2_grpc.ChannelControlServiceServicer):
    """Changes links while blocks fly."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def SetLink(
        self, request: channel_pb2.SetLinkRequest, context: Context
    ) -> channel_pb2.SetLinkResponse:
        given = request.settings
        try:
            settings = link_settings(given.model or "awgn", given.snr_db, given.seed)
        except InputError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        self._links.set(request.link, settings)
        log.event("link_set", link=request.link or "default", **settings.model_dump())
        return channel_pb2.SetLinkResponse()

    async def ListLinks(
        self, request: channel_pb2.ListLinksRequest, context: Context
    ) -> channel_pb2.ListLinksResponse:
        return channel_pb2.ListLinksResponse(
            default_settings=settings_to_proto(self._links.default),
            links={name: settings_to_proto(s) for name, s in self._links.own.items()},
        )


async def run(listen: str, upstream: str, settings: LinkSettings) -> None:
    """Serves until told to stop. Raises :class:`InputError` if ``listen`` is taken."""
    stop, links = told_to_stop(), Links(settings)
    async with aio.insecure_channel(upstream, options=MESSAGE_OPTIONS) as channel:

        def register(server: aio.Server) -> list[str]:
            uplink_pb2_grpc.add_UplinkServiceServicer_to_server(
                UplinkProxy(links, channel, upstream), server
            )
            channel_pb2_grpc.add_ChannelControlServiceServicer_to_server(
                ChannelControl(links), server
            )
            return [
                uplink_pb2.DESCRIPTOR.services_by_name["UplinkService"].full_name,
                channel_pb2.DESCRIPTOR.services_by_name["ChannelControlService"].full_name,
            ]

        async with serve(listen, register) as port:
            log.event("ready", grpc_port=port, upstream=upstream, **settings.model_dump())
            await stop.wait()
