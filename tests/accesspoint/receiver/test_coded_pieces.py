"""Digital blocks that come piece by piece: one answer each, as computed without an access point."""

from __future__ import annotations

import asyncio
import gc
import random
from dataclasses import replace

import numpy as np
import pytest

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.search.running_scores import OpenBlockMemory
from accesspoint.receiver.answer_cache import Key
from accesspoint.receiver.blocks import Block
from accesspoint.receiver.credits import Share
from accesspoint.receiver.outbox import Outbox
from accesspoint.receiver.piece_store import PieceStore
from airreid.bundle import Bundle
from airreid.digital.piece_replay import pack_pieces_each, replay_coded_pieces
from airreid.digital.scheme import DigitalScheme
from airreid.nested.pieces import pieces_of
from airreid.nested.replay import ReplayedPieces
from airreid.nested.stopping import StoppingSettings
from airreid.noise import NoiseStream
from airreid.payload import Coded, HeardCoded
from airreid.scheme_kinds import open_scheme
from airreid.v1 import common_pb2, uplink_pb2

from .support import Gated, PieceCamera, Stream, served, until

SCHEME, COUNT = "digital-256-r1", 24
NOT_READY = common_pb2.CODE_NOT_READY


@pytest.fixture
def receiver(bundle: Bundle, features: np.ndarray, gallery: Gallery) -> Gated:
    gallery.enrol([NewEntry(f"p{i}", "c", gallery.space_id, row) for i, row in enumerate(features)])
    return Gated(bundle, gallery)


class Camera(PieceCamera[Coded]):
    def __init__(self, bundle: Bundle, features: np.ndarray, snr_db: float) -> None:
        scheme = open_scheme(bundle, bundle.scheme(SCHEME), 1)
        assert isinstance(scheme, DigitalScheme)
        self.scheme, self.gallery = scheme, scheme.gallery(features)
        super().__init__(
            bundle.bundle_id, SCHEME, pack_pieces_each(scheme, features[:COUNT]), snr_db
        )

    async def converse(self, stream: Stream, sequence: int) -> uplink_pb2.QueryResponse:
        """Sends a block's pieces as they are asked for, one at first; returns the answer."""
        sent, wanted = 0, 32
        while wanted:
            await stream.send(self.message(sequence, sent // 32, wanted))
            sent += wanted
            [response] = await stream.read()
            assert (response.id.sequence, response.uses_heard) == (sequence, sent)
            wanted = response.more_wanted
            assert not (wanted and (response.identities or response.outage or response.first_uses))
        return response

    def expected(self, settings: StoppingSettings) -> ReplayedPieces:
        """The same without an access point."""
        stream = NoiseStream(1, "cam")
        return replay_coded_pieces(
            self.scheme, settings, self.whole, self.gallery, self.snr_db, stream, 0
        )


@pytest.mark.parametrize(
    ("snr_db", "settings"),
    [(4.0, {}), (-2.0, {}), (-4.0, {"most_uses": 1024}), (8.0, {"growth": 1.0}), (-20.0, {})],
)
async def test_answers_are_those_of_the_same_pieces_offline(
    bundle: Bundle,
    features: np.ndarray,
    receiver: Gated,
    snr_db: float,
    settings: dict[str, float],
) -> None:
    camera, wishes = Camera(bundle, features, snr_db), StoppingSettings.model_validate(settings)
    receiver._stopping = wishes
    expected = camera.expected(wishes)
    lost = expected.order[:, 0] == -1
    async with served(receiver) as service, Stream(service.address) as stream:
        for sequence in range(COUNT):
            response = await camera.converse(stream, sequence)
            assert response.uses_heard == expected.uses[sequence]
            assert response.outage == lost[sequence]
            assert response.link == "coded"
            assert response.first_uses >= 32
            if lost[sequence]:
                assert response.status.code == common_pb2.CODE_OUTAGE
            else:
                assert response.identities[0].subject == f"p{expected.order[sequence, 0]}"
        assert service.value("more_wanted_total") == expected.words.sum()
        assert service.value("downlink_bits_total") == 16 * expected.words.sum()
        assert service.value("uses_count") == COUNT
        assert service.value("uses_sum") == expected.uses.sum()
        assert service.value("piece_bytes") == 0
        event = service.feed.recent()[-1]
        assert (event["uses"], event["bandwidth"]) == (expected.uses[-1], 256)
    if snr_db == -2.0:
        assert 0 < lost.sum() < COUNT
    elif snr_db == -20.0:
        assert (expected.uses == 32).all()  # what 256 uses cannot carry is not asked for
    else:
        assert not lost.any()
    assert expected.uses.max() > 256 or "most_uses" not in settings


async def test_a_cut_block_without_more_is_answered_at_once(
    bundle: Bundle, features: np.ndarray, receiver: Gated
) -> None:
    async with served(receiver) as service, Stream(service.address) as stream:
        for snr_db, uses in ((12.0, 96), (12.0, 32), (12.0, 320)):
            camera = Camera(bundle, features, snr_db)
            await stream.send(camera.message(uses, 0, uses, available=False))
            [response] = await stream.read()
            assert (response.more_wanted, response.uses_heard) == (0, uses)
            assert response.outage == (uses == 32)
        message = camera.message(1, 0, 32)
        message.id.spool_id = ""  # nothing to hold pieces by
        await stream.send(message)
        [response] = await stream.read()
        assert response.status.code == common_pb2.CODE_OUTAGE
        message.coded.first_piece = 1
        await stream.send(message)
        [response] = await stream.read()
        assert response.status.code == NOT_READY


async def test_pieces_that_do_not_follow_are_sent_again_from_the_first(
    bundle: Bundle, features: np.ndarray, receiver: Gated
) -> None:
    camera = Camera(bundle, features, 0.0)
    async with served(receiver) as service, Stream(service.address) as stream:
        await stream.send(camera.message(1, 2, 32))
        [response] = await stream.read()
        assert response.status.code == NOT_READY
        await stream.send(camera.message(1, 0, 32), camera.message(1, 0, 32))
        assert all(response.more_wanted for response in await stream.read(2))
        other_size = camera.message(1, 1, 32)
        other_size.coded.size_index = (other_size.coded.size_index + 1) % 4
        await stream.send(other_size, camera.message(1, 3, 32))
        assert [r.status.code for r in await stream.read(2)] == [NOT_READY, NOT_READY]
        answer = await camera.converse(stream, 1)
        assert answer.status.code == common_pb2.CODE_OK
        await stream.send(camera.message(1, 1, 32), camera.message(1, 0, 32))
        for response in await stream.read(2):
            assert response.repeated_answer
            assert list(response.identities) == list(answer.identities)
        no_size = camera.message(2, 0, 32)
        no_size.coded.size_index = 9
        await stream.send(no_size)
        [response] = await stream.read()
        assert response.status.code == common_pb2.CODE_INVALID
        assert "no payload size 9" in response.status.message


async def test_another_piece_does_not_wait_for_the_answer_to_the_one_before(
    bundle: Bundle, features: np.ndarray, receiver: Gated
) -> None:
    camera = Camera(bundle, features, 0.0)
    receiver.gate.clear()
    async with served(receiver) as service, Stream(service.address) as stream:
        await stream.send(camera.message(1, 0, 32))
        await until(lambda: service.value("in_flight") == 1)
        await stream.send(camera.message(1, 1, 32))
        [response] = await stream.read()
        assert response.status.code == NOT_READY
        await stream.send(camera.message(1, 0, 32))
        await asyncio.sleep(0)
        receiver.gate.set()
        assert all(response.more_wanted for response in await stream.read(2))


async def test_a_stream_that_ends_takes_its_pieces_along(
    bundle: Bundle, features: np.ndarray, receiver: Gated
) -> None:
    camera = Camera(bundle, features, 0.0)
    async with served(receiver) as service:
        async with Stream(service.address) as stream:
            await stream.send(camera.message(5, 0, 96))
            [response] = await stream.read()
            assert response.more_wanted
            assert service.value("piece_bytes") == 8 * 512  # log-likelihood ratios of the code
        async with Stream(service.address) as stream:
            await stream.send(camera.message(5, 3, 32))
            [response] = await stream.read()
            assert response.status.code == NOT_READY
            answer = await camera.converse(stream, 5)
            assert answer.status.code == common_pb2.CODE_OK


async def test_mixed_up_messages_end_in_one_right_answer_each(
    bundle: Bundle, features: np.ndarray, receiver: Gated
) -> None:
    """Doubled, late and foreign pieces: every answer is that of one sending's own pieces."""
    camera, rng = Camera(bundle, features, -1.0), random.Random(4)
    expected = camera.expected(StoppingSettings())
    async with served(receiver) as service, Stream(service.address) as stream:
        for sequence in range(10):
            for _ in range(rng.randrange(6)):
                await stream.send(camera.message(rng.randrange(sequence, 10), rng.randrange(6), 32))
                [response] = await stream.read()
                assert response.status.code == NOT_READY or response.more_wanted
            response = await camera.converse(stream, sequence)
            assert response.uses_heard == expected.uses[sequence]
            assert response.outage == (expected.order[sequence, 0] == -1)


def outbox() -> Outbox[object]:
    return Outbox(Share(), lambda: 8, 4)


def streams(count: int) -> list[Outbox[object]]:
    return [outbox() for _ in range(count)]


def test_where_memory_ends_the_oldest_open_blocks_go(bundle: Bundle, features: np.ndarray) -> None:
    camera, store, stream = Camera(bundle, features, 0.0), PieceStore({}), outbox()
    piece = 4 * 32
    store.memory = OpenBlockMemory(3 * piece)

    def joined(sequence: int, first: int, uses: int) -> Block | None:
        request = camera.message(sequence, first, uses)
        part = pieces_of(camera.whole[sequence], first, uses)
        block = Block(request, uplink_pb2.QueryResponse(), part, 0.0)
        return store.joined(stream, Key("cam", "s", sequence), block)

    for sequence in range(3):
        assert joined(sequence, 0, 32) is not None
    assert store.memory.held == 3 * piece
    block = joined(1, 1, 32)
    assert block is not None
    assert isinstance(block.payload, HeardCoded)
    assert block.payload.uses == 64
    assert joined(0, 1, 32) is None  # it had to go for the second piece of block 1
    assert joined(2, 1, 64) is not None
    assert joined(1, 2, 32) is None
    assert joined(3, 0, 4 * 32) is None  # more than there is room for
    assert store.memory.held == 0
    assert joined(4, 0, 32) is not None
    answer = uplink_pb2.QueryResponse()
    del block
    store.answered(stream, Key("cam", "s", 4), answer)
    gc.collect()
    assert store.memory.held == 0


def test_no_stream_keeps_the_pieces_of_others_out(bundle: Bundle, features: np.ndarray) -> None:
    camera, store, (greedy, modest) = Camera(bundle, features, 0.0), PieceStore({}), streams(2)
    store.memory = OpenBlockMemory(8 * 4 * 32)

    def joined(stream: Outbox[object], sequence: int, first: int) -> bool:
        request = camera.message(sequence, first, 32)
        part = pieces_of(camera.whole[sequence], first, 32)
        block = Block(request, uplink_pb2.QueryResponse(), part, 0.0)
        return store.joined(stream, Key("cam", "s", sequence), block) is not None

    assert all(joined(greedy, sequence, 0) for sequence in range(20))
    assert store.memory.held == 8 * 4 * 32
    assert all(joined(modest, 1, first) for first in range(4))
    assert all(joined(greedy, sequence, 0) for sequence in range(20, 24))
    assert joined(greedy, 23, 1)  # at its own cost: it has as much as the other
    assert not joined(greedy, 20, 1)
    assert not joined(modest, 1, 5)  # as before, what does not follow
    assert all(joined(modest, 2, first) for first in range(4))
    store.leave(greedy)
    store.leave(modest)
    assert store.memory.held == 0


def test_a_message_of_another_block_does_not_follow(bundle: Bundle, features: np.ndarray) -> None:
    camera, store, stream = Camera(bundle, features, 0.0), PieceStore({}), outbox()
    key = Key("cam", "s", 1)
    request = camera.message(1, 0, 32)
    block = Block(request, uplink_pb2.QueryResponse(), pieces_of(camera.whole[1], 0, 32), 0.0)
    part = pieces_of(camera.whole[1], 1, 32)
    for name, value in (("track_id", "t"), ("top_k", 7), ("bundle_id", "b"), ("captured_at", 9)):
        assert store.joined(stream, key, block) is not None
        other = camera.message(1, 1, 32)
        if name == "captured_at":
            other.captured_at.seconds = 9
        else:
            setattr(other, name, value)
        assert store.joined(stream, key, replace(block, request=other, payload=part)) is None
        truth = camera.message(1, 1, 32)
        truth.truth, truth.channel.snr_db = "p1", -3.0  # neither is the block's
        assert store.joined(stream, key, replace(block, request=truth, payload=part)) is not None


def test_a_message_of_another_scheme_does_not_follow(bundle: Bundle, features: np.ndarray) -> None:
    camera, store, stream = Camera(bundle, features, 0.0), PieceStore({}), outbox()
    key = Key("cam", "s", 1)
    request = camera.message(1, 0, 32)
    block = Block(request, uplink_pb2.QueryResponse(), pieces_of(camera.whole[1], 0, 32), 0.0)
    assert store.joined(stream, key, block) is not None
    store.answered(stream, key, uplink_pb2.QueryResponse(more_wanted=32))
    other = uplink_pb2.QueryRequest()
    other.CopyFrom(request)
    other.scheme_id = "digital-256"
    part = pieces_of(camera.whole[1], 1, 32)
    assert isinstance(part, Coded)
    assert store.joined(stream, key, replace(block, request=other, payload=part)) is None
    assert store.joined(stream, key, replace(block, payload=part)) is not None
