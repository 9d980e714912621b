"""Control service: links changed while blocks fly, and what was done to them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import aio

from airreid import log
from airreid.channels.messages import changes, to_message
from airreid.errors import InputError
from airreid.v1 import channel_pb2, channel_pb2_grpc
from channel_sim.links import Links
from channel_sim.messages import StatsMessages, model_messages

Context = aio.ServicerContext[Any, Any]
INTERVAL_SECONDS = 1.0
INTERVAL_MIN, INTERVAL_MAX = 0.1, 3600.0
_LISTED_AT_ONCE = 16
"""Links that are listed between two turns of the streams."""


class ChannelControl(channel_pb2_grpc.ChannelControlServiceServicer):
    """Changes links; a block that has been received gets the settings of that moment."""

    def __init__(self, links: Links, stop: asyncio.Event) -> None:
        """``stop`` ends the streams of those who watch."""
        self._links = links
        self._stop = stop
        self._listing = asyncio.Lock()
        self._stats_messages = StatsMessages(links.stats)

    async def SetLink(
        self, request: channel_pb2.SetLinkRequest, context: Context
    ) -> channel_pb2.SetLinkResponse:
        try:
            settings = self._links.change(request.link, changes(request.settings))
        except InputError as error:
            refusal = str(error)
        else:
            log.event("link_set", link=request.link or "default", **settings.described())
            return channel_pb2.SetLinkResponse(settings=to_message(settings))
        del request  # the traceback of a refusal would keep a trace until the next collection
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, refusal)
        raise AssertionError

    async def ResetLink(
        self, request: channel_pb2.ResetLinkRequest, context: Context
    ) -> channel_pb2.ResetLinkResponse:
        settings = self._links.reset(request.link)
        log.event("link_reset", link=request.link or "default", **settings.described())
        return channel_pb2.ResetLinkResponse(settings=to_message(settings))

    async def ListLinks(
        self, request: channel_pb2.ListLinksRequest, context: Context
    ) -> channel_pb2.ListLinksResponse:
        """Lists all links as they are now, one caller after another and some links at a time."""
        async with self._listing:
            default, links = self._links.default, list(self._links.own.items())
            response = channel_pb2.ListLinksResponse(
                default_settings=to_message(default), models=model_messages()
            )
            for start in range(0, len(links), _LISTED_AT_ONCE):
                for name, settings in links[start : start + _LISTED_AT_ONCE]:
                    response.links[name].CopyFrom(to_message(settings))
                await asyncio.sleep(0)
            return response

    async def WatchStats(
        self, request: channel_pb2.WatchStatsRequest, context: Context
    ) -> AsyncIterator[channel_pb2.WatchStatsResponse]:
        seconds = request.interval_seconds or INTERVAL_SECONDS
        if not (math.isfinite(seconds) and INTERVAL_MIN <= seconds <= INTERVAL_MAX):
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"interval_seconds {seconds:g}: give {INTERVAL_MIN:g} to {INTERVAL_MAX:g}",
            )
        while not self._stop.is_set():
            yield self._stats_messages.make(request.link)
            try:
                await asyncio.wait_for(self._stop.wait(), seconds)
            except TimeoutError:
                continue
