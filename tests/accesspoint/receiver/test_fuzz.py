"""Mutated messages on a real stream: each is answered or ignored as the wire says, none ends
the stream or comes back as an error of the access point itself."""

from __future__ import annotations

import asyncio
import random
import resource
from collections import Counter
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.message import DecodeError

from airreid.bundle import Bundle
from airreid.v1 import common_pb2, uplink_pb2
from tests.hostile.fuzz import mutated

from .support import Blocks, Gated, Stream, people, served

Request = uplink_pb2.QueryRequest
_TEXTS = [
    "",
    "x",
    "cam",
    "jscc-ae-64",
    "jscc-ae-256",
    "digital-256",
    "é" * 300,
    "\x00\n",
    "ab" * 64,
]
_NUMBERS = [0, 1, 2, 7, 255, 2**31 - 1, 2**32 - 1]
_LARGE = [0, 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
_REALS = [0.0, -0.0, 1e308, -1e308, float("nan"), float("inf"), -float("inf"), 3.5]


def mutate_fields(request: Request, rng: random.Random) -> bytes:
    """A message that parses, with some fields set to what an edge would not send."""
    for _ in range(rng.randint(1, 4)):
        match rng.randrange(13):
            case 0:
                request.id.edge_id = rng.choice(_TEXTS)
            case 1:
                request.id.spool_id = rng.choice(_TEXTS)
            case 2:
                request.id.sequence = rng.choice(_LARGE)
            case 3:
                request.bundle_id = rng.choice(_TEXTS)
            case 4:
                request.scheme_id = rng.choice(_TEXTS)
            case 5:
                request.top_k, request.top_entries = rng.choice(_NUMBERS), rng.choice(_NUMBERS)
            case 6:
                size = rng.choice([0, 1, 3, 4, 252, 256, 260, 1024, 4096])
                request.analog.symbols = rng.randbytes(size)
            case 7:
                request.ideal.bits = rng.randbytes(rng.choice([0, 1, 8, 32, 4096]))
                request.ideal.bit_count = rng.choice([*_NUMBERS, 64, 250])
                request.ideal.uses = rng.choice([*_NUMBERS, 64, 256])
                request.ideal.lost = rng.random() < 0.3
            case 8:
                request.coded.symbols = rng.randbytes(rng.choice([0, 4, 256, 1024]))
                request.coded.size_index = rng.choice(_NUMBERS)
            case 9:
                request.channel.model = rng.choice(_TEXTS)
                request.channel.snr_db = rng.choice(_REALS)
            case 10:
                request.captured_at.seconds = rng.choice([0, -(2**63), 2**63 - 1, 10**12])
                request.captured_at.nanos = rng.choice([0, -1, 2**31 - 1, -(2**31)])
            case 11:
                request.settled_below = rng.choice(_LARGE)
                request.settled_only = rng.random() < 0.3
            case 12:
                request.track_id, request.truth = rng.choice(_TEXTS), rng.choice(_TEXTS)
    return request.SerializeToString()


def cases(blocks: list[Blocks], count: int, seed: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    for number in range(count):
        request = rng.choice(blocks)(rng.randrange(50), edge=f"e{rng.randrange(3)}")
        whole = request.SerializeToString()
        data = mutate_fields(request, rng) if number % 2 else mutated(whole, rng, most=4)
        yield data if rng.random() < 0.98 else rng.randbytes(rng.randrange(400_000))


def expects_answer(data: bytes) -> bool:
    try:
        return len(data) > 256 * 1024 or not Request.FromString(data).settled_only
    except DecodeError:
        return True


async def fuzz(receiver: Gated, blocks: list[Blocks], count: int, seed: int) -> Counter[int]:
    """Sends the cases over one stream, and a good block now and then that must be answered."""
    codes: Counter[int] = Counter()
    settings = {"window": 32, "kept_per_edge": 200, "drop": "oldest", "drop_after_ms": 1e8}
    async with served(receiver, **settings) as ap, Stream(ap.address) as stream:
        waiting = asyncio.Semaphore(24)
        expected = 0

        async def send() -> None:
            nonlocal expected
            for number, data in enumerate(cases(blocks, count, seed)):
                if expects_answer(data):
                    await waiting.acquire()
                    expected += 1
                await stream.send(data)
                if number % 100 == 0:
                    await waiting.acquire()
                    expected += 1
                    good = blocks[0](number, edge="good", spool=f"{seed}")
                    await stream.send(good)
            await stream.call.done_writing()

        sending = asyncio.create_task(send())
        good = 0
        async for answer in stream.call:
            waiting.release()
            codes[answer.status.code] += 1
            if answer.id.edge_id == "good":
                assert answer.identities[0].subject == blocks[0].who(answer.id.sequence)
                good += 1
        await sending
        assert await stream.call.code() is grpc.StatusCode.OK
        assert sum(codes.values()) == expected
        assert good == len(range(0, count, 100))
        assert ap.value("kept_answers") <= 4 * 200
        assert ap.value("in_flight") == 0
    assert not codes[common_pb2.CODE_INTERNAL]
    assert not codes[common_pb2.CODE_UNSPECIFIED]
    return codes


@pytest.fixture
def kinds(bundle: Bundle) -> list[Blocks]:
    features = people(20)
    return [
        Blocks(bundle, features),
        Blocks(bundle, features, "digital-64", "ideal"),
        Blocks(bundle, features, "digital-64", "coded"),
    ]


async def test_a_thousand_mutated_messages(receiver: Gated, kinds: list[Blocks]) -> None:
    codes = await fuzz(receiver, kinds, 1000, seed=1)
    assert codes[common_pb2.CODE_OK] > 50  # the cases are not all nonsense
    assert codes[common_pb2.CODE_INVALID] > 200


@pytest.mark.slow
async def test_fifty_thousand_mutated_messages(receiver: Gated, kinds: list[Blocks]) -> None:
    codes: Counter[int] = Counter()
    for part in range(4):
        codes += await fuzz(receiver, kinds, 5000, seed=100 + part)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for part in range(4, 10):
        codes += await fuzz(receiver, kinds, 5000, seed=100 + part)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024, f"{grown} KiB more at the peak"
    assert sum(codes.values()) > 45_000
