"""The edge's stream against a real gRPC server that misbehaves on purpose."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from airreid import wire
from airreid.errors import InputError, LinkError
from airreid.payload import Analog
from airreid.uplink_client import Uplink
from airreid.v1 import uplink_pb2, uplink_pb2_grpc
from edge.blocks import BlockMaker

from .support import until


class Slow(uplink_pb2_grpc.UplinkServiceServicer):
    """Answers nothing until ``release`` is set; breaks the stream at ``break_at``."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.release = threading.Event()
        self.break_at: int | None = None

    def Query(self, request_iterator, context):  # type: ignore[no-untyped-def]
        taken: list[uplink_pb2.QueryRequest] = []
        ended = threading.Event()

        def take() -> None:
            try:
                for request in request_iterator:
                    self.seen.append(request.id.sequence)
                    taken.append(request)
            except grpc.RpcError:
                pass
            ended.set()

        threading.Thread(target=take, daemon=True).start()
        self.release.wait(10)
        while not ended.wait(0.01) or taken:
            if taken:
                request = taken.pop(0)
                if request.id.sequence == self.break_at:
                    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full up")
                yield uplink_pb2.QueryResponse(id=request.id)


@pytest.fixture
def server() -> Iterator[tuple[Slow, str]]:
    slow = Slow()
    server = grpc.server(ThreadPoolExecutor(4))
    uplink_pb2_grpc.add_UplinkServiceServicer_to_server(slow, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield slow, f"127.0.0.1:{port}"
    server.stop(None).wait()


def blocks(count: int) -> Iterator[uplink_pb2.QueryRequest]:
    payloads = [Analog(row) for row in np.ones((count, 8), np.float32)]
    return BlockMaker("cam", "b").blocks(payloads, "s")


def test_no_more_blocks_under_way_than_the_window(server: tuple[Slow, str]) -> None:
    slow, address = server
    with Uplink(address) as uplink:
        stream = uplink.query(blocks(20), window=3)
        thread = threading.Timer(1.0, slow.release.set)
        thread.start()
        first = next(stream)
        assert first.latency_ms > 200
        assert len(slow.seen) <= 4  # three, and the one that the first answer let go
        assert [answer.response.id.sequence for answer in stream] == list(range(1, 20))


class Narrow(uplink_pb2_grpc.UplinkServiceServicer):
    """Answers a block for each permit and says how many may be unanswered."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.permits = threading.Semaphore(0)
        self.window = 2

    def Query(self, request_iterator, context):  # type: ignore[no-untyped-def]
        taken: queue.SimpleQueue[uplink_pb2.QueryRequest] = queue.SimpleQueue()

        def take() -> None:
            with contextlib.suppress(grpc.RpcError):
                for request in request_iterator:
                    if not request.settled_only:
                        self.seen.append(request.id.sequence)
                        taken.put(request)

        threading.Thread(target=take, daemon=True).start()
        until(lambda: len(self.seen) == 4)
        while self.permits.acquire(timeout=10):
            yield uplink_pb2.QueryResponse(id=taken.get(timeout=10).id, window=self.window)


def test_the_other_end_may_narrow_the_window_and_widen_it_again() -> None:
    narrow = Narrow()
    server = grpc.server(ThreadPoolExecutor(4))
    uplink_pb2_grpc.add_UplinkServiceServicer_to_server(narrow, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    settled = uplink_pb2.QueryRequest(settled_only=True)

    def source() -> Iterator[uplink_pb2.QueryRequest]:
        yield settled  # takes no credit
        yield from blocks(30)

    with Uplink(f"127.0.0.1:{port}") as uplink:
        stream = uplink.query(source(), window=4)

        def sent_after_one_more_answer(expected: int) -> int:
            narrow.permits.release()
            next(stream)
            until(lambda: len(narrow.seen) >= expected)
            time.sleep(0.1)
            return len(narrow.seen)

        assert sent_after_one_more_answer(4) == 4  # three are unanswered
        assert sent_after_one_more_answer(4) == 4  # two
        assert sent_after_one_more_answer(5) == 5
        narrow.window = 99
        assert sent_after_one_more_answer(8) == 8
        assert sent_after_one_more_answer(9) == 9
        stream.close()
    server.stop(None).wait()


def test_a_broken_stream_is_one_error_with_its_reason(server: tuple[Slow, str]) -> None:
    slow, address = server
    slow.release.set()
    slow.break_at = 2
    with Uplink(address) as uplink, pytest.raises(LinkError, match="the stream broke: full up"):
        list(uplink.query(blocks(10)))


def test_an_error_in_the_source_of_blocks_comes_out(server: tuple[Slow, str]) -> None:
    slow, address = server
    slow.release.set()

    def failing() -> Iterator[uplink_pb2.QueryRequest]:
        yield from blocks(2)
        raise InputError("camera fell off")

    with Uplink(address) as uplink, pytest.raises(InputError, match="camera fell off"):
        list(uplink.query(failing()))


def test_nobody_there() -> None:
    with pytest.raises(LinkError, match=r"127\.0\.0\.1:1: no answer within 0\.3 s"):
        Uplink("127.0.0.1:1", connect_seconds=0.3)


def test_blocks_are_numbered_without_gaps_and_two_lives_differ() -> None:
    maker = BlockMaker("cam", "bundle")
    payload = Analog(np.zeros(4, np.float32))
    numbered = [*maker.blocks([payload] * 3, "s", 2), maker.block(payload, "t")]
    assert [block.id.sequence for block in numbered] == [0, 1, 2, 3]
    assert {block.id.spool_id for block in numbered} == {maker.spool_id}
    assert BlockMaker("cam", "bundle").spool_id != maker.spool_id


@given(arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32, allow_nan=False)))
def test_symbols_cross_the_wire_exactly_or_are_refused(values: np.ndarray) -> None:
    data = wire.to_bytes(values)
    assert len(data) == 4 * len(values)
    if (np.abs(values) <= 1e6).all():
        np.testing.assert_array_equal(wire.from_bytes(data, len(values), "x"), values)
    else:
        with pytest.raises(InputError, match="must be finite"):
            wire.from_bytes(data, len(values), "x")
    with pytest.raises(InputError, match="float32 values"):
        wire.from_bytes(data + b"1", len(values), "x")
