"""Kinds of work that do not wait for each other."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import grpc
import numpy as np
import pytest

from accesspoint.api.enrolment import Encoder
from accesspoint.api.pools import Pools, PoolSettings, caller
from accesspoint.assembly import Services
from accesspoint.errors import RateLimitedError
from airreid.bundle import Bundle
from airreid.v1 import gallery_pb2, gallery_pb2_grpc

from .conftest import Rest, grpc_over, png


class Gate:
    """Work that stands still until it is let go on."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.go_on = threading.Event()

    def __call__(self) -> str:
        self.began.release()
        assert self.go_on.wait(60)
        return "done"


async def test_work_of_one_kind_waits_for_no_other() -> None:
    gate = Gate()
    with Pools(PoolSettings(enrol=1, waiting_images=2, read=1)) as pools:
        enrolments = [asyncio.create_task(pools.run("enrol", gate)) for _ in range(3)]
        assert await asyncio.to_thread(gate.began.acquire, True, 60)
        with pytest.raises(RateLimitedError, match="enrol"):
            await pools.run("enrol", gate)
        assert await pools.run("read", lambda: "read") == "read"
        assert await pools.run("image", lambda: "image") == "image"
        enrolments[2].cancel()  # its caller has gone
        with pytest.raises(asyncio.CancelledError):
            await enrolments[2]
        gate.go_on.set()
        assert await asyncio.gather(*enrolments[:2]) == ["done", "done"]
    assert gate.began.acquire(blocking=False)
    assert not gate.began.acquire(blocking=False), "work without a caller was begun"


async def test_one_caller_leaves_room_for_others() -> None:
    gate = Gate()

    async def call(name: str) -> str:
        caller.set(name)
        return await pools.run("read", gate)

    with Pools(PoolSettings(read=1, waiting=31)) as pools:
        greedy = [asyncio.create_task(call("greedy")) for _ in range(40)]
        assert await asyncio.to_thread(gate.began.acquire, True, 60)
        refused, _ = await asyncio.wait(greedy, timeout=0)
        while len(refused) < 12:  # of 32 places 28 are anybody's
            refused, _ = await asyncio.wait(greedy, return_when=asyncio.FIRST_COMPLETED)
        assert all(isinstance(task.exception(), RateLimitedError) for task in refused)
        others = [asyncio.create_task(call(f"other-{number}")) for number in range(5)]
        done, _ = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1  # one too many for everybody
        gate.go_on.set()
        answers = await asyncio.gather(*greedy, *others, return_exceptions=True)
        assert answers.count("done") == 32
        assert await call("greedy") == "done"


async def test_work_runs_in_the_callers_context_and_fails_like_a_call() -> None:
    name = contextvars.ContextVar("name", default="nobody")
    name.set("caller")

    def fail() -> None:
        raise KeyError("as the test wants")

    with Pools() as pools:
        assert await pools.run("read", name.get) == "caller"
        for _ in range(200):  # a call that failed holds no place
            with pytest.raises(KeyError):
                await pools.run("read", fail)


def test_enrolments_that_stand_still_hold_up_nothing_else(
    services: Services, rest: Rest, tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()

    def features(encoder: Encoder, crops: np.ndarray) -> np.ndarray:
        gate()
        return np.ones((len(crops), 32), np.float32)

    monkeypatch.setattr(Encoder, "features", features)
    item = gallery_pb2.EnrollItem(subject="a", camera="c", image=png(1))
    with grpc_over(services, tiny) as target, grpc.insecure_channel(target) as channel:
        stub = gallery_pb2_grpc.GalleryServiceStub(channel)
        request = gallery_pb2.EnrollRequest(items=[item])
        calls = [stub.Enroll.future(request, timeout=120) for _ in range(8)]
        for _ in range(PoolSettings().enrol):
            assert gate.began.acquire(timeout=60)
        assert stub.GetPolicy(gallery_pb2.GetPolicyRequest(), timeout=60)
        assert stub.PutSubject(gallery_pb2.PutSubjectRequest(id="b"), timeout=60).id == "b"
        assert stub.ListSubjects(gallery_pb2.ListSubjectsRequest(), timeout=60).subjects
        gate.go_on.set()
        for call in calls:
            call.result()
