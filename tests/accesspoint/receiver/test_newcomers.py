"""At the limit of streams a camera's new stream takes its old one's place, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc
import pytest

from accesspoint.receiver.blocks import Receiver
from accesspoint.receiver.stream import NEWCOMERS, Context
from airreid.v1 import common_pb2

from .support import Blocks, Stream, served, until

OK = common_pb2.CODE_OK


async def test_a_camera_comes_back_though_its_old_stream_still_counts(
    receiver: Receiver, blocks: Blocks
) -> None:
    """As after a link that went silent: nothing ends the old stream."""
    async with served(receiver, max_streams=2) as ap:
        async with Stream(ap.address) as other, Stream(ap.address) as old:
            await other.send(blocks(1, "other"))
            await old.send(blocks(1, "cam"))
            await other.read()
            await old.read()
            for number in range(2, 6):
                async with Stream(ap.address) as new:
                    await new.send(blocks(number, "cam"))
                    [answer] = await new.read()
                    assert (answer.status.code, answer.id.sequence) == (OK, number)
                    await until(lambda: ap.value("streams") <= 2)
                    await other.send(blocks(number, "other"))
                    assert (await other.read())[0].status.code == OK
                    await new.end()
                await until(lambda: ap.value("streams") <= 1)
                old = Stream(ap.address)  # up to the limit again
                await old.send(blocks(number, "cam"))
                await old.read()
            await old.close()
        assert ap.value("refused_streams_total") == 0


@pytest.mark.parametrize("silent", [False, True])
async def test_a_stranger_takes_nobodys_place(
    receiver: Receiver, blocks: Blocks, silent: bool
) -> None:
    async with served(receiver, max_streams=1, newcomer_seconds=0.2) as ap, Stream(ap.address) as a:
        await a.send(blocks(1, "cam"))
        await a.read()
        async with Stream(ap.address) as stranger:
            if not silent:
                await stranger.send(blocks(1, "stranger"))
            assert await stranger.call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await a.send(blocks(2, "cam"))
        assert (await a.read())[0].status.code == OK


async def test_nobody_takes_a_place_under_a_name_that_is_not_theirs(
    receiver: Receiver, blocks: Blocks
) -> None:
    tokens = iter(["cam", "thief"])

    async def access(context: Context) -> Callable[[str], bool]:
        token = next(tokens)
        return lambda edge_id: edge_id == token

    async with served(receiver, access, max_streams=1) as ap, Stream(ap.address) as cam:
        await cam.send(blocks(1, "cam"))
        await cam.read()
        async with Stream(ap.address) as thief:
            await thief.send(blocks(1, "cam"))
            assert await thief.call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await cam.send(blocks(2, "cam"))
        assert (await cam.read())[0].status.code == OK


async def test_those_who_wait_above_the_limit_are_bounded(
    receiver: Receiver, blocks: Blocks
) -> None:
    async with (
        served(receiver, max_streams=1, newcomer_seconds=60) as ap,
        Stream(ap.address) as cam,
    ):
        await cam.send(blocks(1, "cam"))
        await cam.read()
        waiting = [Stream(ap.address) for _ in range(NEWCOMERS)]
        await until(lambda: ap.uplink._newcomers == NEWCOMERS)
        async with Stream(ap.address) as over:
            assert await over.call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await asyncio.gather(*(stream.close() for stream in waiting))
        await until(lambda: ap.uplink._newcomers == 0)
