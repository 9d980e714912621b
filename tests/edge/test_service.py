"""The edge service when something beneath it fails."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc import aio

from airreid.bundle import Bundle
from airreid.v1 import common_pb2, edge_pb2, edge_pb2_grpc, uplink_pb2, uplink_pb2_grpc
from edge.encoder import Encoder
from edge.service import EdgeServicer


class Odd(uplink_pb2_grpc.UplinkServiceServicer):
    """Answers each block, after an answer to a block that nobody sent; may forget some."""

    def __init__(self, forget: int = -1) -> None:
        self.forget = forget

    def Query(self, request_iterator, context):  # type: ignore[no-untyped-def]
        for request in request_iterator:
            yield uplink_pb2.QueryResponse(id=common_pb2.BlockId(sequence=999))
            if request.id.sequence != self.forget:
                status = common_pb2.Status(code=common_pb2.CODE_OK)
                yield uplink_pb2.QueryResponse(id=request.id, status=status)


class Failing(Encoder):
    """Its networks break on the third crop."""

    calls = 0

    def features(self, images):  # type: ignore[no-untyped-def]
        self.calls += 1
        if self.calls == 3:
            raise RuntimeError("out of memory")
        return super().features(images)


async def identify(bundle: Bundle, people: Path, upstream: Odd) -> list[edge_pb2.IdentifyResponse]:
    far = grpc.server(ThreadPoolExecutor(2))
    uplink_pb2_grpc.add_UplinkServiceServicer_to_server(upstream, far)
    to = f"127.0.0.1:{far.add_insecure_port('127.0.0.1:0')}"
    far.start()
    near = aio.server()
    try:
        async with aio.insecure_channel(to) as up:
            servicer = EdgeServicer(Failing(bundle, 1), up, to, "jscc-ae-64", "analog", "cam")
            edge_pb2_grpc.add_EdgeServiceServicer_to_server(servicer, near)
            port = near.add_insecure_port("127.0.0.1:0")
            await near.start()
            files = sorted(people.rglob("*.png"))[:6]
            requests = [
                edge_pb2.IdentifyRequest(name=str(i), image=file.read_bytes())
                for i, file in enumerate(files)
            ]
            async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                stub = edge_pb2_grpc.EdgeServiceStub(channel)
                answers = [answer async for answer in stub.Identify(iter(requests), timeout=60)]
    finally:
        await near.stop(None)
        far.stop(None).wait()
    return answers


async def test_one_failing_crop_does_not_end_the_stream(bundle: Bundle, people: Path) -> None:
    answers = await identify(bundle, people, Odd())
    codes = {answer.name: answer.status.code for answer in answers}
    internal = [name for name, code in codes.items() if code == common_pb2.CODE_INTERNAL]
    assert internal == ["2"]
    assert len(codes) == 6


async def test_an_answer_that_never_comes_is_an_error_not_a_silence(
    bundle: Bundle, people: Path
) -> None:
    with pytest.raises(aio.AioRpcError, match="1 crops were not answered"):
        await identify(bundle, people, Odd(forget=1))
