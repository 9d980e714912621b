"""Messages with pieces as no camera sends them: one response each, and no harm to other cameras."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.matching.tracks import TrackFusion, TrackSettings
from airreid.bundle import Bundle
from airreid.nested.stopping import StoppingSettings
from airreid.payload import Analog, Coded, symbols_of
from airreid.v1 import common_pb2, uplink_pb2

from ...nested_bundle import seen_people
from . import test_coded_pieces, test_pieces
from .support import Gated, PieceCamera, Stream, served, until

Request = uplink_pb2.QueryRequest
HONEST = 12
_FIRST = [0] * 8 + [1, 1, 1, 2, 2, 3, 4, 7, 8, 4095, 2**32 - 1]
_PIECE = [32] * 40 + [0, 1, 31, 64, 2**32 - 1]
_SCALE = [1.0] * 8 + [0.0, 1e-42, 1e3, 1e6, 1e20, float("nan")]
_SNR = [0.0, 5.0, -10.0, 20.0] * 4 + [-60.0, 100.0, 1e308, -1e308, float("nan"), float("inf")]


def hostile(camera: PieceCamera[Analog] | PieceCamera[Coded], rng: random.Random) -> Request:
    """A message of one of four blocks: what makes a block mostly stays, the pieces do not."""
    number = rng.randrange(4)
    request = camera.message(number, 0, 32, available=rng.random() < 0.9)
    request.id.edge_id, request.id.sequence = "bad", number + 4 * rng.randrange(40)
    block = symbols_of(request)
    assert block is not None
    count = rng.choice([1, 1, 1, 1, 2, 3, 8, 9, 33])
    draws = np.random.default_rng(rng.randrange(1 << 30))
    with np.errstate(all="ignore"):
        symbols = (draws.standard_normal(32 * count) * rng.choice(_SCALE)).astype("<f4")
    block.symbols = symbols.tobytes()[: rng.choice([None] * 20 + [-1, -4])]
    block.first_piece, block.piece_uses = rng.choice(_FIRST), rng.choice(_PIECE)
    if isinstance(block, uplink_pb2.CodedBlock) and rng.random() < 0.1:
        block.size_index = rng.choice([0, 1, 2, 3, 9, 2**32 - 1])
    request.channel.snr_db = rng.choice(_SNR)
    if rng.random() < 0.1:
        request.ClearField("channel")
    request.track_id = rng.choice(["", "", "t", "u"]) if rng.random() < 0.2 else ""
    request.report_wanted = rng.random() < 0.5
    return request


async def attack(camera: PieceCamera[Analog] | PieceCamera[Coded], receiver: Gated) -> Counter[int]:
    """Three streams of hostile messages beside a camera that must have its answers."""
    codes: Counter[int] = Counter()
    async with served(receiver) as service:

        async def disturb(seed: int) -> None:
            rng = random.Random(seed)
            async with Stream(service.address) as stream:
                for _ in range(15):
                    await stream.send(*(hostile(camera, rng) for _ in range(8)))
                    for response in await stream.read(8):
                        code = response.status.code
                        codes[code] += 1
                        assert code != common_pb2.CODE_INTERNAL, response
                        assert (code == common_pb2.CODE_UNSPECIFIED) == bool(response.more_wanted)
                        assert not (response.more_wanted and response.identities)
                        assert all(-1.01 < match.score < 1.01 for match in response.identities)

        disturbers = [asyncio.create_task(disturb(seed)) for seed in range(3)]
        async with Stream(service.address) as stream:
            for sequence in range(HONEST):
                sent, wanted = 0, 32
                while wanted:
                    await stream.send(camera.message(sequence, sent // 32, wanted))
                    sent += wanted
                    [response] = await stream.read()
                    assert (response.id.sequence, response.uses_heard) == (sequence, sent)
                    wanted = response.more_wanted
                assert response.status.code == common_pb2.CODE_OK
                names = [match.subject for match in response.identities]
                assert names in ([f"p{sequence % len(camera.whole)}"], [])
            await asyncio.gather(*disturbers)
        await until(lambda: service.value("piece_bytes") == 0)
        assert service.value("in_flight") == 0
    return codes


@pytest.fixture
def opened(nested: Bundle, tmp_path: Path) -> Iterator[Gallery]:
    with test_pieces.opened(tmp_path / "data", nested) as gallery:
        yield gallery


@pytest.mark.parametrize("people", [0, 1, 40])
@pytest.mark.parametrize("fused", [False, True])
async def test_nested_pieces(nested: Bundle, opened: Gallery, people: int, fused: bool) -> None:
    features, labels = seen_people(40, seed=3)
    rows = enumerate(features[labels.camera == 0][:people])
    opened.enrol([NewEntry(f"p{i}", "c", opened.space_id, row) for i, row in rows])
    tracks = TrackFusion(TrackSettings()) if fused else None
    settings = StoppingSettings(most_uses=1024, accepted_loss=0.01)
    camera = test_pieces.Camera(nested, 20.0)
    if people == 1:  # everybody is the one
        camera.whole = camera.whole[:1]
    receiver = Gated(nested, opened, tracks, settings)
    codes = await attack(camera, receiver)
    assert min(codes[common_pb2.CODE_OK], codes[common_pb2.CODE_NOT_READY]) > 10


async def test_digital_pieces(bundle: Bundle, features: np.ndarray, gallery: Gallery) -> None:
    gallery.enrol([NewEntry(f"p{i}", "c", gallery.space_id, row) for i, row in enumerate(features)])
    camera = test_coded_pieces.Camera(bundle, features, 8.0)
    codes = await attack(camera, Gated(bundle, gallery))
    assert min(codes[common_pb2.CODE_OUTAGE], codes[common_pb2.CODE_NOT_READY]) > 10
