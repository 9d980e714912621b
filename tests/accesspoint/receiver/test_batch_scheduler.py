"""Items are computed alone in the loop or together in a worker's thread, and never lost."""

from __future__ import annotations

import asyncio
import math
import threading
from dataclasses import dataclass, field

import pytest

from accesspoint.receiver import batch_scheduler as module
from accesspoint.receiver.batch_scheduler import BatchScheduler
from accesspoint.receiver.blocks import Receiver
from airreid.v1 import common_pb2

from .support import Blocks, Gated, Stream, ask, served, until


@dataclass
class Bench:
    """BatchScheduler whose items are numbers, and what became of them."""

    is_local: bool = True
    done: list[int] = field(default_factory=list)
    batches: list[tuple[str, list[int]]] = field(default_factory=list)
    under_way: int = 0
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()
        self.scheduler: BatchScheduler[int] = BatchScheduler(
            self.compute, self.deliver, lambda: self.under_way == 1, lambda _: self.is_local, 4
        )

    def compute(self, scheme_id: str, batch: list[int]) -> None:
        name = threading.current_thread().name
        self.batches.append(("worker" if name == f"receiver {scheme_id}" else "loop", batch))
        if threading.current_thread() is not threading.main_thread():
            assert self.gate.wait(20)
        if 13 in batch:
            raise RuntimeError("unlucky")

    def deliver(self, batch: list[int]) -> None:
        self.done += batch
        self.under_way -= len(batch)

    def put(self, *items: int) -> None:
        for item in items:
            self.under_way += 1
            self.scheduler.put("s", item)

    async def all_done(self) -> None:
        await until(lambda: self.under_way == 0)


@pytest.fixture(autouse=True)
def any_time_is_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOON_SECONDS", 1e6)


async def test_a_lone_item_is_computed_in_the_loop_once_one_was_quick() -> None:
    bench = Bench()
    for item in range(3):
        bench.put(item)
        await bench.all_done()
        worker = bench.scheduler._worker("s", False)
        await until(lambda worker=worker: worker.idle and worker.lone_item_seconds < math.inf)
    assert bench.batches == [("worker", [0]), ("loop", [1]), ("loop", [2])]
    bench.put(13)  # whatever goes wrong, it is delivered
    await bench.all_done()
    assert bench.done == [0, 1, 2, 13]
    bench.scheduler.close()


@pytest.mark.parametrize("why", ["slow", "elsewhere"])
async def test_a_slow_scheme_and_one_that_waits_for_others_keep_to_the_worker(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(is_local=why != "elsewhere")
    if why == "slow":
        monkeypatch.setattr(module, "SOON_SECONDS", 0.0)
    for item in range(4):
        bench.put(item)
        await bench.all_done()
    assert [where for where, _ in bench.batches] == ["worker"] * 4
    bench.scheduler.close()


async def test_what_comes_together_is_computed_together_and_in_order() -> None:
    bench = Bench()
    bench.put(0)
    await bench.all_done()
    await until(lambda: bench.scheduler._worker("s", False).lone_item_seconds < math.inf)
    bench.gate.clear()
    asyncio.get_running_loop().call_soon(bench.put, 2, 3)
    bench.put(1)  # alone when it comes, and not any more a turn later
    await until(lambda: bench.batches[1:])
    bench.put(4, 5, 6, 7)
    assert bench.scheduler.take_back("s", 6)
    bench.under_way -= 1
    bench.gate.set()
    await bench.all_done()
    assert bench.done == [0, 1, 2, 3, 4, 5, 7]
    assert all(where == "worker" for where, _ in bench.batches)
    assert len(bench.batches) <= 4
    bench.scheduler.close()


async def test_answers_are_the_same_either_way(
    receiver: Gated, blocks: Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One block at a time through the real service, then all at once."""
    monkeypatch.setattr(module, "SOON_SECONDS", 60.0)  # however busy the machine is
    threads: list[str] = []

    class Seen(Receiver):
        def process(self, scheme_id: str, blocks: object) -> None:
            threads.append(threading.current_thread().name)
            super().process(scheme_id, blocks)  # type: ignore[arg-type]

    direct = Seen(receiver._bundle, receiver._gallery)
    async with served(direct) as ap:
        one_by_one = []
        async with Stream(ap.address) as stream:
            for number in range(12):
                await stream.send(blocks(number))
                one_by_one += await stream.read()
        assert {name.partition(" ")[0] for name in threads} == {"receiver", "MainThread"}
        together = await ask(ap.address, (blocks(i, spool="t") for i in range(12)))
    assert all(answer.status.code == common_pb2.CODE_OK for answer in one_by_one)
    for first, again in zip(
        one_by_one, sorted(together, key=lambda answer: answer.id.sequence), strict=True
    ):
        assert first.identities[0].subject == again.identities[0].subject
        assert first.identities[0].subject == blocks.who(first.id.sequence)
        assert first.identities[0].score == pytest.approx(again.identities[0].score, abs=1e-6)
