"""A camera that opens many streams, or sends what is refused, slows itself and nobody else."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from accesspoint.receiver.blocks import Receiver
from accesspoint.receiver.refusal_pace import BURST, PER_SECOND, RefusalPace
from airreid.v1 import common_pb2, uplink_pb2

from .support import Blocks, Stream, served, until

OK = common_pb2.CODE_OK


async def test_a_further_stream_of_a_camera_ends_its_oldest(
    receiver: Receiver, blocks: Blocks
) -> None:
    async with served(receiver, streams_per_edge=2) as ap, Stream(ap.address) as other:
        await other.send(blocks(1, "other"))
        await other.read()
        streams = []
        for number in range(1, 8):
            streams.append(Stream(ap.address))
            await streams[-1].send(blocks(number, "cam"))
            [answer] = await streams[-1].read()
            assert answer.status.code == OK
            await until(lambda: ap.value("streams") <= 3)
        for ended in streams[:-2]:
            assert await ended.call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "streams_per_edge" in (await ended.call.details() or "")
        for number, stream in enumerate((*streams[-2:], other), 10):
            await stream.send(blocks(number, "other" if stream is other else "cam"))
            assert (await stream.read())[0].status.code == OK
        for stream in streams:
            await stream.close()
        await until(lambda: ap.value("streams") <= 1)
        assert not ap.uplink._cameras.pop_oldest("cam")


async def test_who_sends_what_is_refused_waits_and_a_camera_does_not(
    receiver: Receiver, blocks: Blocks
) -> None:
    never = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await never.wait()

    settled = uplink_pb2.QueryRequest(settled_below=1, settled_only=True).SerializeToString()
    useless = [b"\xff", b"", settled, blocks(1, "x" * 1000).SerializeToString()]
    async with served(receiver) as ap, Stream(ap.address) as cam:
        ap.uplink._refusal_pace = RefusalPace(sleep=sleep)
        for message in useless:
            ap.uplink._refusal_pace._next_turn = float("inf")
            async with Stream(ap.address) as stream:
                await stream.send(message, blocks(1, "late"))
                await cam.send(*(blocks(number, "cam") for number in range(20)))
                answers = await cam.read(20)
                assert {answer.status.code for answer in answers} == {OK}
                reading = asyncio.create_task(stream.read(1 if message == settled else 2))
                done, _ = await asyncio.wait({reading}, timeout=0.1)
                assert not done, "the stream was read on"
                reading.cancel()


async def test_refused_messages_of_all_have_a_pace() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    now = 100.0
    pace = RefusalPace(lambda: now, sleep)
    for _ in range(BURST):
        await pace.take()
    assert not slept
    for _ in range(10):
        await pace.take()
    assert slept == pytest.approx([number / PER_SECOND for number in range(1, 11)])
    now += 1000.0
    await pace.take()
    assert len(slept) == 10
