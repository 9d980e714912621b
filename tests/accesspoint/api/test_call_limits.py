"""Bounds of what gRPC takes in before it knows who calls, and after."""

from __future__ import annotations

import gc
import queue
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from accesspoint.api.grpc_calls import SERVICE
from accesspoint.api.limits import MESSAGE_BYTES, SMALL_BYTES
from accesspoint.api.tokens import Scope, TokenFile
from accesspoint.assembly import Services, access_point
from accesspoint.settings import ServeSettings
from airreid.bundle import Bundle
from airreid.call_limits import SMALL
from airreid.v1 import gallery_pb2, gallery_pb2_grpc
from airreid.wire import repeated_at_most

from .conftest import grpc_over

ENROL = "/" + SERVICE.full_name + "/Enroll"
SUBJECT = "/" + SERVICE.full_name + "/GetSubject"
QUERY = "/airreid.v1.UplinkService/Query"


@pytest.fixture
def channel(services: Services, tiny: Bundle) -> Iterator[grpc.Channel]:
    with grpc_over(services, tiny) as target, grpc.insecure_channel(target) as opened:
        yield opened


def refusal(call: object, *given: object, **named: object) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as failed:
        call(*given, timeout=30, **named)
    return failed.value


class Silence:
    """Messages that never come, of a call that has begun."""

    def __init__(self) -> None:
        self._end: queue.SimpleQueue[None] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[bytes]:
        self._end.get()
        yield from ()

    def end(self) -> None:
        self._end.put(None)


def test_nobody_without_a_token_has_a_message_read(tiny: Bundle, tmp_path: Path) -> None:
    settings = ServeSettings(data_dir=tmp_path / "data", require_token=True)
    with (
        access_point(tiny, settings) as services,
        grpc_over(services, tiny) as target,
        grpc.insecure_channel(target) as channel,
    ):
        camera = TokenFile(settings.data_dir).add("camera", [Scope.STREAM])
        for metadata, code in (
            ((), grpc.StatusCode.UNAUTHENTICATED),
            ((("authorization", f"Bearer {camera}"),), grpc.StatusCode.PERMISSION_DENIED),
        ):
            for path in (SUBJECT, ENROL):
                silence = Silence()
                # no message is ever sent, so the answer cannot wait for one
                call = channel.stream_unary(path)
                assert refusal(call, iter(silence), metadata=metadata).code() == code
                silence.end()


def test_small_services_take_small_messages(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    assert health.Check(health_pb2.HealthCheckRequest()).status == 1
    name = "x" * SMALL.message_bytes
    for call in (
        lambda **named: health.Check(health_pb2.HealthCheckRequest(service=name), **named),
        lambda **named: next(health.Watch(health_pb2.HealthCheckRequest(service=name), **named)),
        lambda **named: next(
            reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
                iter([reflection_pb2.ServerReflectionRequest(file_by_filename=name)]), **named
            )
        ),
    ):
        error = refusal(call)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert f"takes at most {SMALL.message_bytes}" in error.details()


def test_health_is_watched(channel: grpc.Channel) -> None:
    watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    assert next(watching).status == 1
    watching.cancel()


def test_messages_of_the_gallery_are_weighed(channel: grpc.Channel) -> None:
    stub = gallery_pb2_grpc.GalleryServiceStub(channel)
    note = "x" * (SMALL_BYTES + 1)
    error = refusal(stub.PutSubject, gallery_pb2.PutSubjectRequest(id="a", note=note))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    image = bytes(MESSAGE_BYTES + 1)
    error = refusal(stub.Search, gallery_pb2.SearchRequest(image=image))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    request = gallery_pb2.EnrollRequest(items=[gallery_pb2.EnrollItem()] * 1001)
    error = refusal(stub.Enroll, request)
    assert "more than 1000 items" in error.details()
    call = channel.unary_unary(SUBJECT)
    assert refusal(call, b"\x0a\xff").code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no message" in refusal(channel.stream_unary(SUBJECT), iter(())).details()


@pytest.mark.parametrize("path", ["/grpc.health.v1.Health/Check", SUBJECT, ENROL, QUERY])
def test_a_message_is_freed_when_its_call_ends(channel: grpc.Channel, path: str) -> None:
    """No later, when garbage is next collected: callers could have many megabytes held."""
    long = bytes(MESSAGE_BYTES - 1024)

    def refused() -> None:
        if path == QUERY:
            for _ in channel.stream_stream(QUERY)(iter([long]), timeout=30):
                pass
        else:
            refusal(channel.unary_unary(path), long)

    refused()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(5):
            refused()
        end = time.monotonic() + 20.0
        while tracemalloc.get_traced_memory()[0] > len(long):
            assert time.monotonic() < end, tracemalloc.get_traced_memory()
            time.sleep(0.05)
    finally:
        tracemalloc.stop()
        gc.enable()


def test_nothing_is_decompressed(channel: grpc.Channel) -> None:
    stub = gallery_pb2_grpc.GalleryServiceStub(channel)
    request = gallery_pb2.PutSubjectRequest(id="a", note="x" * 1500)
    error = refusal(stub.PutSubject, request, compression=grpc.Compression.Gzip)
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert stub.PutSubject(request).id == "a"


def test_calls_whose_message_does_not_come_make_room(channel: grpc.Channel) -> None:
    """As many as are read at once stand open, and a message that comes is read all the same."""
    silences = [Silence() for _ in range(SMALL.reading + 1)]
    check = channel.stream_unary("/grpc.health.v1.Health/Check")
    calls = [check.future(iter(silence), timeout=60) for silence in silences]
    ended: threading.Event = threading.Event()
    for call in calls:
        call.add_callback(ended.set)
    assert ended.wait(30)  # room for the last of them was made at the cost of an older one
    [oldest, *_] = [call for call in calls if call.done()]
    assert oldest.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status == 1
    for silence, call in zip(silences, calls, strict=True):
        silence.end()
        call.cancel()


def test_items_are_counted_without_a_parser() -> None:
    item = gallery_pb2.EnrollItem(subject="s", camera="c", image=bytes(300))
    data = gallery_pb2.EnrollRequest(items=[item] * 20).SerializeToString()
    assert repeated_at_most(data, 20)
    assert not repeated_at_most(data, 19)
    assert repeated_at_most(b"", 0)
    assert not repeated_at_most(b"\x0a\x00" * 1001, 1000)
    fields = b"\x08\x96\x01" + b"\x11" + bytes(8) + b"\x1d" + bytes(4)
    assert repeated_at_most(fields, 3)
    assert not repeated_at_most(fields, 2)
    for broken in (b"\xff" * 30, b"\x0a\xff\xff", b"\x0b"):
        assert repeated_at_most(broken, 3)
