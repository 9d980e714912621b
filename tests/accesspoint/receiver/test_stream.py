"""The service as clients see it: real gRPC, real codes, real search."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Sequence

import grpc
import pytest
from grpc import aio

from accesspoint.errors import NotReadyError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.search import entry_search
from accesspoint.receiver.blocks import Block
from accesspoint.receiver.requests import BLOCK_BYTES_MAX, cost
from accesspoint.receiver.stream import Context
from airreid.bundle import Bundle
from airreid.v1 import common_pb2, uplink_pb2

from .support import Blocks, Gated, Served, Stream, ask, people, served, until

OK = common_pb2.CODE_OK


async def test_every_block_is_answered_with_its_own_person(receiver: Gated, blocks: Blocks) -> None:
    async with served(receiver, window=8) as ap:
        answers = await ask(ap.address, (blocks(i, truth=blocks.who(i)) for i in range(100)))
        assert sorted(answer.id.sequence for answer in answers) == list(range(100))
        for answer in answers:
            assert answer.status.code == OK
            assert answer.identities[0].subject == blocks.who(answer.id.sequence)
            assert answer.window == 8
            assert not answer.repeated_answer
        assert ap.value("known_total", what="rank1", outcome="right") == 100
        assert ap.value("answers_total", scheme="jscc-ae-64", link="analog", code="ok") == 100
        assert ap.value("in_flight") == 0
        events = ap.feed.recent()
        assert {(event["uses"], event["bandwidth"]) for event in events} == {(None, None)}
    assert {event["sequence"] for event in events} == set(range(100))
    assert all(e["identities"][0]["subject"] == e["truth"] for e in events)


async def test_a_slow_scheme_does_not_hold_up_another(
    receiver: Gated, blocks: Blocks, bundle: Bundle
) -> None:
    other = Blocks(bundle, people(20), "jscc-ae-256")
    async with served(receiver) as ap, Stream(ap.address) as stream:
        gate, process = receiver.gate, receiver.process

        def slow(scheme_id: str, batch: object) -> None:
            if scheme_id == "jscc-ae-256":
                gate.wait(20)
            process(scheme_id, batch)  # type: ignore[arg-type]

        receiver.process = slow  # type: ignore[method-assign]
        receiver.gate = type(gate)()
        receiver.gate.set()
        gate.clear()
        await stream.send(other(0), blocks(1), blocks(2))
        first = [answer.id.sequence for answer in await stream.read(2)]
        assert sorted(first) == [1, 2]
        gate.set()
        assert (await stream.read())[0].id.sequence == 0
        assert await stream.end() is grpc.StatusCode.OK


async def test_no_more_than_the_window_is_read(receiver: Gated, blocks: Blocks) -> None:
    receiver.gate.clear()
    async with served(receiver, window=5, max_batch=1) as ap, Stream(ap.address) as stream:
        sending = asyncio.create_task(stream.send(*(blocks(i) for i in range(50))))
        await until(lambda: ap.value("in_flight") == 5)
        await asyncio.sleep(0.1)
        assert ap.value("in_flight") == 5
        receiver.gate.set()
        assert len(await stream.read(50)) == 50
        await sending


async def test_all_streams_together_keep_to_the_bound_and_share_it(
    receiver: Gated, blocks: Blocks
) -> None:
    receiver.gate.clear()
    async with served(receiver, window=16, max_in_flight=24, max_batch=4) as ap:
        streams = [Stream(ap.address) for _ in range(6)]
        sending = [
            asyncio.create_task(stream.send(*(blocks(i, edge=f"e{n}") for i in range(30))))
            for n, stream in enumerate(streams)
        ]
        await until(lambda: ap.value("in_flight") == 24)
        await asyncio.sleep(0.2)
        assert ap.value("in_flight") == 24
        receiver.gate.set()
        every = await asyncio.gather(*(stream.read(30) for stream in streams))
        await asyncio.gather(*sending)
        windows = {answer.window for answers in every for answer in answers[10:]}
        assert min(windows) == 4  # 24 over 6
        await asyncio.sleep(1.2)  # the others stand open and send nothing
        await streams[0].send(blocks(100, edge="e0"))
        assert (await streams[0].read())[0].window == 16
        for stream in streams:
            await stream.close()


async def test_a_stalled_reader_takes_no_share_of_the_others(
    receiver: Gated, blocks: Blocks
) -> None:
    async with (
        served(receiver, window=4, max_in_flight=4) as ap,
        Stream(ap.address) as stalled,
        Stream(ap.address) as live,
    ):
        requests = [blocks(i, edge="stalled", top_entries=1000) for i in range(4)]
        await stalled.send(*requests)  # and never reads
        answers = []
        for i in range(20):
            await live.send(blocks(i, edge="live"))
            answers += await live.read()
        assert [answer.id.sequence for answer in answers] == list(range(20))


async def test_a_copy_under_way_joins_and_a_later_one_gets_the_kept_answer(
    receiver: Gated, blocks: Blocks
) -> None:
    receiver.gate.clear()
    async with served(receiver) as ap:
        async with Stream(ap.address) as first, Stream(ap.address) as second:
            await first.send(blocks(7))
            await until(lambda: ap.value("in_flight") == 1)
            await second.send(blocks(7))
            await second.send(blocks(8))
            await until(lambda: ap.value("in_flight") == 2)
            receiver.gate.set()
            [original], copies = await first.read(), await second.read(2)
            joined = next(answer for answer in copies if answer.id.sequence == 7)
            [again] = await ask(ap.address, [blocks(7)])
        assert sorted(receiver.seen) == [7, 8]
        assert not original.repeated_answer
        assert joined.repeated_answer
        assert again.repeated_answer
        assert list(original.identities) == list(joined.identities) == list(again.identities)
        assert ap.value("repeated_total") == 2


async def test_noise_does_not_make_a_copy_another_block_but_its_content_does(
    receiver: Gated, blocks: Blocks
) -> None:
    async with served(receiver) as ap:
        [first] = await ask(ap.address, [blocks(3)])
        noisy = blocks(3)
        noisy.analog.CopyFrom(blocks(4).analog)  # whatever the air made of it
        noisy.channel.model, noisy.channel.snr_db = "awgn", -3.0
        [again] = await ask(ap.address, [noisy])
        assert again.repeated_answer
        assert again.identities == first.identities
        other = blocks(3, track_id="t9")
        [conflict] = await ask(ap.address, [other])
        assert conflict.status.code == common_pb2.CODE_CONFLICT
        assert "another block has had this number" in conflict.status.message
        another_edge, no_name = blocks(3, edge="cam-2", track_id="t9"), blocks(3, edge="")
        for request in (another_edge, no_name, no_name):
            [answer] = await ask(ap.address, [request])
            assert answer.status.code == OK
            assert not answer.repeated_answer


async def test_settled_answers_are_forgotten_and_settling_has_no_answer(
    receiver: Gated, blocks: Blocks
) -> None:
    async with served(receiver) as ap:
        await ask(ap.address, (blocks(i) for i in range(10)))
        assert ap.value("kept_answers") == 10
        await ask(ap.address, [blocks(10, settled_below=4)])
        assert ap.value("kept_answers") == 7
        only = uplink_pb2.QueryRequest(settled_only=True, settled_below=11)
        only.id.edge_id, only.id.spool_id = "cam", "s"
        assert await ask(ap.address, [only]) == []
        assert ap.value("kept_answers") == ap.value("kept_bytes") == 0
        [again] = await ask(ap.address, [blocks(2)])
        assert not again.repeated_answer
        assert again.identities[0].subject == "p2"


async def test_no_kept_answer_names_somebody_who_was_deleted(
    receiver: Gated, blocks: Blocks, full: Gallery
) -> None:
    async with served(receiver) as ap, Stream(ap.address) as stream:
        await ask(ap.address, [blocks(3)])
        assert full.delete_subject("p3") == 1
        [again] = await ask(ap.address, [blocks(3)])
        assert not again.repeated_answer
        assert again.identities[0].subject != "p3"
        await ask(ap.address, [blocks(5)])
        full.merge_subjects("p5", "p6")
        [again] = await ask(ap.address, [blocks(5)])
        assert (again.repeated_answer, again.identities[0].subject) == (False, "p6")
        receiver.gate.clear()  # found before the deletion, delivered after it
        process = receiver.process

        def delete_then_deliver(scheme_id: str, batch: Sequence[Block]) -> None:
            process(scheme_id, batch)
            full.delete_subject("p4")

        receiver.process = delete_then_deliver  # type: ignore[method-assign]
        await stream.send(blocks(4))
        await until(lambda: ap.value("in_flight") == 1)
        receiver.gate.set()
        assert (await stream.read())[0].identities[0].subject == "p4"
        receiver.process = process  # type: ignore[method-assign]
        [later] = await ask(ap.address, [blocks(4)])
        assert not later.repeated_answer
        assert later.identities[0].subject != "p4"


async def test_draining_ends_streams_once_they_are_answered(
    receiver: Gated, blocks: Blocks
) -> None:
    receiver.gate.clear()
    async with (
        served(receiver) as ap,
        Stream(ap.address) as busy,
        Stream(ap.address) as idle,
    ):
        await idle.send(blocks(0, edge="idle"))
        await busy.send(*(blocks(i) for i in range(5)))
        await until(lambda: ap.value("in_flight") == 6)
        ap.uplink.drain()
        receiver.gate.set()
        assert len(await busy.read(5)) == 5
        assert (await idle.read())[0].id.sequence == 0
        for stream in (busy, idle):
            assert await asyncio.wait_for(stream.call.read(), 20) is aio.EOF
            assert await stream.call.code() is grpc.StatusCode.OK
        assert ap.value("streams") == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotReadyError("being loaded"), common_pb2.CODE_NOT_READY),
        (RuntimeError("a bug"), common_pb2.CODE_INTERNAL),
    ],
)
async def test_what_was_not_answered_for_good_is_computed_when_it_comes_again(
    receiver: Gated,
    blocks: Blocks,
    full: Gallery,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    code: int,
) -> None:
    def fail(*_: object) -> None:
        raise error

    async with served(receiver) as ap:
        with monkeypatch.context() as patch:
            patch.setattr(full, "search", fail)
            [first] = await ask(ap.address, [blocks(3)])
        [again] = await ask(ap.address, [blocks(3)])
    assert first.status.code == code
    assert first.status.message
    assert again.status.code == OK
    assert not again.repeated_answer


async def test_a_broken_stream_does_not_lose_what_it_asked_for(
    receiver: Gated, blocks: Blocks
) -> None:
    receiver.gate.clear()
    async with served(receiver) as ap:
        async with Stream(ap.address) as stream:
            await stream.send(*(blocks(i) for i in range(5)))
            await until(lambda: ap.value("in_flight") == 5)
        async with Stream(ap.address) as stream:
            await stream.send(*(blocks(i) for i in range(5)))
            await asyncio.sleep(0.05)
            receiver.gate.set()
            answers = await stream.read(5)
        assert {answer.id.sequence for answer in answers} == set(range(5))
        assert any(answer.repeated_answer for answer in answers), "the first was under way"
        await until(lambda: ap.value("in_flight") == 0)
    assert sorted(receiver.seen) == list(range(5))


async def test_what_waits_of_a_dead_stream_is_not_computed(receiver: Gated, blocks: Blocks) -> None:
    receiver.gate.clear()
    async with served(receiver) as ap:
        async with Stream(ap.address) as stream:
            await stream.send(blocks(0))
            await until(lambda: ap.value("in_flight") == 1)
            await stream.send(*(blocks(i) for i in range(1, 20)))
            await until(lambda: ap.value("in_flight") == 20)
        await until(lambda: ap.value("in_flight") < 20)
        async with Stream(ap.address) as stream:
            await stream.send(blocks(20))
            await until(lambda: ap.value("in_flight") >= 2)
            receiver.gate.set()
            [answer] = await stream.read()
        assert answer.status.code == OK
        await until(lambda: ap.value("in_flight") == 0)
    assert 20 in receiver.seen
    # beside the first block there is one batch under way, mostly of one block: a busy machine
    # may have some more of them come by then
    assert len(receiver.seen) < 10


async def answered_meanwhile(ap: Served, camera: Stream, blocks: Blocks, numbers: range) -> None:
    """Has a camera served beside a stream of dear blocks, of which one is under way."""
    for i in numbers:
        await camera.send(blocks(i, edge="c"))
        [answer] = await camera.read()
        assert answer.identities[0].subject == blocks.who(i)
    assert ap.value("in_flight") == 1, "a stream has a single dear block under way"


async def test_a_dear_block_is_searched_alone_and_holds_up_nobody(
    receiver: Gated, blocks: Blocks
) -> None:
    """The gate is shut on blocks that ask for many entries; all others are answered."""
    process, batches = receiver.process, []
    shut = threading.Event()

    def gated(scheme_id: str, batch: Sequence[Block]) -> None:
        dear = [cost(block.request) > 1 for block in batch]
        batches.append(dear)
        if any(dear):
            assert shut.wait(60)
        process(scheme_id, batch)

    receiver.process = gated  # type: ignore[method-assign]
    async with served(receiver) as ap, Stream(ap.address) as greedy, Stream(ap.address) as camera:
        await greedy.send(*(blocks(i, edge="g", top_entries=100_000) for i in range(3)))
        await until(lambda: batches == [[True]])
        await answered_meanwhile(ap, camera, blocks, range(70))
        shut.set()
        answers = await greedy.read(3)
    assert all(answer.status.code == OK for answer in answers)
    assert batches.count([True]) == 3
    assert all(True not in batch or batch == [True] for batch in batches)


async def test_a_camera_whose_search_went_deep_is_dear_for_a_while(
    receiver: Gated, blocks: Blocks, full: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One person has most entries; the gate is shut on those that were charged for him."""
    monkeypatch.setattr(entry_search, "_DEEP", 100)
    crowd = people(1).repeat(400, 0)
    full.enrol([NewEntry("p0", "c", full.space_id, feature) for feature in crowd])
    process, dear = receiver.process, list[bool]()
    shut = threading.Event()

    def gated(scheme_id: str, batch: Sequence[Block]) -> None:
        if threading.current_thread().name.endswith(" dear"):
            dear.append(len(batch) == 1)
            assert shut.wait(60)
        process(scheme_id, batch)

    receiver.process = gated  # type: ignore[method-assign]
    async with served(receiver) as ap, Stream(ap.address) as greedy, Stream(ap.address) as camera:
        await greedy.send(blocks(0, edge="g"))
        [answer] = await greedy.read()
        assert answer.identities[0].subject == "p0"
        assert dear == []
        await greedy.send(*(blocks(i, edge="g") for i in (1, 2, 3)))
        await until(lambda: dear == [True])
        await answered_meanwhile(ap, camera, blocks, range(4, 20))
        shut.set()
        answers = await greedy.read(3)
    assert [answer.identities[0].subject for answer in answers] == ["p1", "p2", "p3"]
    assert dear == [True] * 3


async def test_garbled_and_oversized_messages_do_not_end_the_stream(
    receiver: Gated, blocks: Blocks
) -> None:
    garbled, huge = b"\x0a\xff\xff\xff", bytes(BLOCK_BYTES_MAX + 1)
    async with served(receiver) as ap, Stream(ap.address) as stream:
        await stream.send(garbled, huge, blocks(1))
        answers = await stream.read(3)
        assert await stream.end() is grpc.StatusCode.OK
    codes = sorted(answer.status.code for answer in answers)
    assert codes == [OK, common_pb2.CODE_INVALID, common_pb2.CODE_INVALID]


async def test_a_stream_speaks_only_for_its_edges(receiver: Gated, blocks: Blocks) -> None:
    async def access(context: Context):  # type: ignore[no-untyped-def]
        return lambda edge_id: edge_id == "cam-1"

    async with served(receiver, access) as ap:
        [mine] = await ask(ap.address, [blocks(1, edge="cam-1")])
        only = uplink_pb2.QueryRequest(settled_only=True, settled_below=99)
        only.id.edge_id, only.id.spool_id = "cam-1", "s"
        answers = await ask(ap.address, [blocks(1, edge="cam-2")])
        assert mine.status.code == OK
        assert [answer.status.code for answer in answers] == [common_pb2.CODE_FORBIDDEN]
        assert "'cam-2'" in answers[0].status.message
        assert receiver.seen == [1]


async def test_a_name_that_is_too_long_is_refused_and_settles_nothing(
    receiver: Gated, blocks: Blocks
) -> None:
    """Even for a credential that is bound to another edge: what is wrong comes first."""

    async def access(context: Context):  # type: ignore[no-untyped-def]
        return lambda edge_id: edge_id == "cam-1"

    long = "x" * 129
    async with served(receiver, access) as ap:
        await ask(ap.address, [blocks(1, edge="cam-1")])
        only = uplink_pb2.QueryRequest(settled_only=True, settled_below=99)
        only.id.edge_id, only.id.spool_id = "cam-1", long
        requests = [only, blocks(2, edge=long), blocks(3, edge="cam-1", spool=long)]
        answers = await ask(ap.address, requests)
        assert [answer.status.code for answer in answers] == [common_pb2.CODE_INVALID] * 2
        assert "edge_id: longer than 128" in answers[0].status.message
        assert "spool_id: longer than 128" in answers[1].status.message
        assert ap.value("kept_answers") == 1
    assert receiver.seen == [1]


async def test_too_many_streams_are_refused(receiver: Gated, blocks: Blocks) -> None:
    async with served(receiver, max_streams=1) as ap:
        async with Stream(ap.address) as first:
            await first.send(blocks(1))
            await first.read()
            async with Stream(ap.address) as second:
                assert await second.call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert "1 streams are open" in await second.call.details()
        assert ap.value("refused_streams_total") == 1
        await until(lambda: ap.value("streams") == 0)
        assert len(await ask(ap.address, [blocks(2)])) == 1


async def test_old_blocks_are_dropped_and_nothing_is_lost(receiver: Gated, blocks: Blocks) -> None:
    old, fresh, ageless = blocks(1), blocks(2), blocks(3)
    old.captured_at.FromSeconds(int(time.time()) - 60)
    fresh.captured_at.GetCurrentTime()
    settings = {"drop": "oldest", "drop_after_ms": 30_000}
    async with served(receiver, **settings) as ap:
        answers = await ask(ap.address, [old, fresh, ageless])
        [again] = await ask(ap.address, [old])
    by_number = {answer.id.sequence: answer for answer in answers}
    assert by_number[1].status.code == common_pb2.CODE_DROPPED
    assert "older than 30 s are dropped" in by_number[1].status.message
    assert by_number[1].timings.age_ms == pytest.approx(60_000, abs=5_000)
    assert by_number[2].status.code == by_number[3].status.code == OK
    assert abs(by_number[2].timings.age_ms) < 5_000
    assert by_number[3].timings.age_ms == 0
    assert again.repeated_answer
    assert again.status.code == common_pb2.CODE_DROPPED
    assert sorted(receiver.seen) == [2, 3]


async def test_a_full_queue_drops_its_own_oldest(receiver: Gated, blocks: Blocks) -> None:
    receiver.gate.clear()
    async with (
        served(receiver, drop="oldest", window=4, max_batch=1) as ap,
        Stream(ap.address) as greedy,
        Stream(ap.address) as modest,
    ):
        await modest.send(blocks(500, edge="modest"))
        await until(lambda: ap.value("in_flight") == 1)  # it is being computed
        sending = asyncio.create_task(greedy.send(*(blocks(i, edge="g") for i in range(30))))
        dropped = await greedy.read(26)
        assert [answer.id.sequence for answer in dropped] == list(range(26))
        assert {answer.status.code for answer in dropped} == {common_pb2.CODE_DROPPED}
        receiver.gate.set()
        newest = await greedy.read(4)
        await sending
        assert [answer.id.sequence for answer in newest] == [26, 27, 28, 29]
        assert {answer.status.code for answer in newest} == {OK}
        assert (await modest.read())[0].status.code == OK


async def test_twenty_streams_get_equal_shares(receiver: Gated, blocks: Blocks) -> None:
    """All send as fast as they are let; when the first has 60 answers nobody is far behind."""
    counts, done = [0] * 20, asyncio.Event()

    async def camera(number: int, address: str) -> None:
        async with Stream(address) as stream:
            sequences = itertools.count()

            async def send() -> None:
                for sequence in sequences:
                    await stream.send(blocks(sequence, edge=f"e{number}"))

            sending = asyncio.create_task(send())
            while not done.is_set():
                [answer] = await stream.read()
                assert answer.status.code == OK
                assert answer.identities[0].subject == blocks.who(answer.id.sequence)
                counts[number] += 1
                if counts[number] == 60:
                    done.set()
            sending.cancel()

    async with served(receiver, window=16, max_in_flight=64) as ap:
        await asyncio.gather(*(camera(number, ap.address) for number in range(20)))
    assert min(counts) >= sorted(counts)[10] / 2, counts
