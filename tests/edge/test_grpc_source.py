"""The gRPC service, in one process with a spool and an access point that may misbehave."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest
from grpc import aio
from PIL import Image

from airreid.bundle import Bundle
from airreid.errors import LinkError
from airreid.v1 import common_pb2, edge_pb2, edge_pb2_grpc
from edge.airtime import Radio
from edge.control import EdgeControl
from edge.frames import ClosedError, SpoolDiskError, SpoolFullError
from edge.grpc_source import (
    _UNDER_WAY_BYTES,
    MESSAGE_BYTES,
    STREAMS_MAX,
    GrpcSource,
    _code,
)
from edge.metrics import Metrics
from edge.pipeline import Pipeline
from edge.settings import UplinkSettings
from edge.spool import Spool
from edge.uplink_sender import Sender

from .support import SENDING, AccessPoint, Quick, picture, served, until


@dataclass
class Edge:
    spool: Spool
    pipeline: Pipeline
    stub: edge_pb2_grpc.EdgeServiceAsyncStub
    control: edge_pb2_grpc.EdgeControlServiceAsyncStub

    async def identify(self, *requests: edge_pb2.IdentifyRequest) -> dict[str, object]:
        call = self.stub.Identify(iter(requests), timeout=60)
        return {response.name: response async for response in call}


@asynccontextmanager
async def edge_at(to: str, encoder: Quick, capacity: int = 1000) -> AsyncIterator[Edge]:
    spool, metrics = Spool(None, "cam", capacity), Metrics()
    pipeline = Pipeline(encoder, spool, SENDING, Radio(), metrics)
    settings = UplinkSettings(answer_seconds=1.0, backoff_seconds=0.2, connect_seconds=2.0)
    sender = Sender(to, spool, settings, pipeline.publish, metrics, random.Random(1), pipeline.link)
    sender.start()
    server = aio.server()
    edge_pb2_grpc.add_EdgeServiceServicer_to_server(GrpcSource(pipeline, spool, metrics), server)
    edge_pb2_grpc.add_EdgeControlServiceServicer_to_server(
        EdgeControl(pipeline, spool, "b", lambda: sender.connected), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Edge(
                spool,
                pipeline,
                edge_pb2_grpc.EdgeServiceStub(channel),  # type: ignore[arg-type]
                edge_pb2_grpc.EdgeControlServiceStub(channel),  # type: ignore[arg-type]
            )
    finally:
        await server.stop(None)
        await asyncio.to_thread(pipeline.close)
        await asyncio.to_thread(sender.stop, 0.0)
        spool.close()


def request(number: int, **fields: object) -> edge_pb2.IdentifyRequest:
    return edge_pb2.IdentifyRequest(name=str(number), image=picture(number), **fields)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def encoder(bundle: Bundle) -> Quick:
    return Quick(bundle)


async def test_one_failing_crop_does_not_end_the_stream(bundle: Bundle) -> None:
    encoder, bad = Quick(bundle), Image.open(io.BytesIO(picture(2))).tobytes()

    def fail(image: Image.Image) -> None:
        if image.tobytes() == bad:
            raise RuntimeError("out of memory")

    encoder.fail = fail
    with served(AccessPoint()) as to:
        async with edge_at(to, encoder) as edge:
            torn = edge_pb2.IdentifyRequest(name="torn", image=b"\xff\xd8\xff")
            answers = await edge.identify(*map(request, range(6)), torn)
    codes = {name: answer.status.code for name, answer in answers.items()}
    assert codes.pop("2") == common_pb2.CODE_INTERNAL
    assert codes.pop("torn") == common_pb2.CODE_INVALID
    assert set(codes.values()) == {common_pb2.CODE_OK}
    assert len(codes) == 5


async def test_an_answer_that_does_not_come_is_asked_for_again(encoder: Quick) -> None:
    far = AccessPoint()
    far.strangers, far.forget = True, {2}
    with served(far) as to:
        async with edge_at(to, encoder) as edge:
            answers = await edge.identify(*map(request, range(4)))
            assert {a.answer.identities[0].subject for a in answers.values()} == {"first"}
            assert edge.spool.waiting == 0
            assert edge.spool.accepted == 4
    again = [sequence for _, sequence in far.seen]
    assert again.count(2) >= 2
    assert len({spool_id for spool_id, _ in far.seen}) == 1


async def test_a_crop_may_be_left_with_the_edge(encoder: Quick) -> None:
    far = AccessPoint()
    far.gate.clear()
    with served(far) as to:
        async with edge_at(to, encoder) as edge:
            wanted = request(1, accept_only=True, track_id="t-7", top_k=3)
            answers = await edge.identify(wanted)
            assert answers["1"].status.code == common_pb2.CODE_OK
            assert answers["1"].id.sequence == 1
            assert not answers["1"].HasField("answer")
            assert edge.spool.waiting == 1
            [block] = edge.spool.blocks(0, 9)
            assert (block.track_id, block.top_k) == ("t-7", 3)
            far.gate.set()
            await asyncio.to_thread(until, lambda: edge.spool.waiting == 0)
    assert far.tracks == ["t-7"]


async def test_a_full_spool_says_what_it_has_and_takes_no_more(encoder: Quick) -> None:
    async with edge_at("127.0.0.1:1", encoder, capacity=3) as edge:
        call = edge.stub.Identify(iter([request(i) for i in range(8)]), timeout=60)
        responses = []
        with pytest.raises(aio.AioRpcError, match="the spool is full") as caught:  # noqa: PT012
            async for response in call:
                responses.append(response)  # noqa: PERF401
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert edge.spool.waiting == edge.spool.accepted == 3
        assert sorted(response.id.sequence for response in responses) == [1, 2, 3]
        assert all(response.status.code == common_pb2.CODE_OK for response in responses)


async def test_a_stale_crop_is_answered_as_expired(encoder: Quick) -> None:
    async with edge_at("127.0.0.1:1", encoder) as edge:
        asking = asyncio.create_task(edge.identify(request(1)))
        await asyncio.to_thread(until, lambda: edge.spool.waiting == 1)
        edge.pipeline.dropped(edge.spool.drop_stale(0.0))
        answers = await asking
    assert answers["1"].status.code == common_pb2.CODE_EXPIRED


async def test_bad_fields_are_answered_and_not_accepted(encoder: Quick) -> None:
    with served(AccessPoint()) as to:
        async with edge_at(to, encoder) as edge:
            answers = await edge.identify(request(1, top_k=1001), request(2, track_id="x" * 129))
            assert edge.spool.accepted == 0
    assert {answer.status.code for answer in answers.values()} == {common_pb2.CODE_INVALID}
    assert "top_k is 1001; at most 1000" in answers["1"].status.message
    assert "track id of 129 characters" in answers["2"].status.message


async def test_scheme_changes_while_crops_come(encoder: Quick) -> None:
    with served(AccessPoint()) as to:
        async with edge_at(to, encoder) as edge:
            await edge.identify(request(1))
            state = await edge.control.Set(edge_pb2.SetRequest(scheme_id="jscc-fc-256"))
            assert (state.scheme_id, state.link) == ("jscc-fc-256", "analog")
            assert (state.edge_id, state.accepted, state.connected) == ("cam", 1, True)
            for bad in (
                edge_pb2.SetRequest(scheme_id="jscc-ae-7"),
                edge_pb2.SetRequest(link="coded"),
                edge_pb2.SetRequest(link="wire"),
            ):
                with pytest.raises(aio.AioRpcError) as caught:
                    await edge.control.Set(bad)
                assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            state = await edge.control.Get(edge_pb2.GetRequest())
            assert (state.scheme_id, state.link) == ("jscc-fc-256", "analog")
            answers = await edge.identify(request(2))
    assert answers["2"].status.code == common_pb2.CODE_OK


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SpoolFullError("full"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (SpoolDiskError("full"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (ClosedError("ending"), grpc.StatusCode.UNAVAILABLE),
        (LinkError("gone"), grpc.StatusCode.UNAVAILABLE),
        (ZeroDivisionError("a fault"), grpc.StatusCode.INTERNAL),
    ],
)
def test_a_stream_ends_with_the_code_of_what_ended_it(
    error: Exception, code: grpc.StatusCode
) -> None:
    assert _code(error) is code


async def test_whole_messages_are_counted_while_they_wait(
    encoder: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    room = GrpcSource._room

    async def noted(self: GrpcSource, size: int) -> None:
        await room(self, size)
        counted.append(self._bytes)

    monkeypatch.setattr(GrpcSource, "_room", noted)
    long = request(1, accept_only=True)
    long.name = "n" * 100_000
    async with edge_at("127.0.0.1:1", encoder) as edge:
        await edge.identify(long)
    assert counted == [long.ByteSize()]


def test_messages_of_all_streams_are_bounded() -> None:
    assert STREAMS_MAX * MESSAGE_BYTES + _UNDER_WAY_BYTES < 288 << 20
