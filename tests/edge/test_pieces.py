"""Blocks that go out piece by piece, against an access point that misbehaves on purpose."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from PIL import Image

from airreid.bundle import Bundle
from airreid.digital.scheme import DigitalScheme
from airreid.errors import InputError
from airreid.nested.pacing import Pacing
from airreid.payload import symbols_of
from airreid.v1 import common_pb2, uplink_pb2
from edge.airtime import Radio
from edge.encoder import Encoder
from edge.frames import Frame
from edge.metrics import Metrics
from edge.pipeline import Accepted, Pipeline
from edge.results import Outcome, read
from edge.spool import Spool

from ..nested_bundle import SCHEME, nested_bundle
from .support import AccessPoint, entry, picture, served, until
from .test_uplink_sender import sending, value

PIECE, WHOLE = 8, 64


class Listener(AccessPoint):
    """Answers a block once it has as many pieces as its number says; keeps what it heard."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.rng = random.Random(seed)
        self.faults = 0.0
        """Probability of each kind of misbehaviour at each message."""
        self.answered: dict[int, bytes] = {}

    def wanted(self, sequence: int) -> int:
        return 1 + sequence * 5 % 11

    def Query(self, request_iterator, context) -> Iterator[uplink_pb2.QueryResponse]:  # type: ignore[no-untyped-def]
        heard: dict[int, list[bytes]] = {}
        for request in request_iterator:
            if request.settled_only:
                continue
            number, size = request.id.sequence, 4 * PIECE
            block = symbols_of(request)
            assert block is not None
            if not block.first_piece:
                heard[number] = []
            pieces = heard.get(number)
            response = uplink_pb2.QueryResponse(id=request.id)
            if pieces is None or len(pieces) != block.first_piece:
                response.status.code = common_pb2.CODE_NOT_READY
                yield response
                continue
            symbols = block.symbols
            pieces += [symbols[i : i + size] for i in range(0, len(symbols), size)]
            if self.rng.random() < self.faults:
                context.abort(grpc.StatusCode.UNAVAILABLE, "gone for a while")
            if self.rng.random() < self.faults / 6:
                continue  # the word is lost
            response.uses_heard = len(pieces) * PIECE
            left = self.wanted(number) - len(pieces)
            if left > 0:
                response.more_wanted = min(left, self.rng.choice([1, 2, 3])) * PIECE
                yield response
                if self.rng.random() < self.faults:
                    yield response
                continue
            response.status.code = common_pb2.CODE_OK
            response.identities.add(subject=f"n{number}", score=0.9)
            self.answered.setdefault(number, b"".join(pieces))
            yield response


def fill(spool: Spool, count: int) -> dict[int, bytes]:
    """Accepts frames in pieces; their symbols by number."""
    blocks = {}
    for _ in range(count):
        frame = entry(f"n{spool.accepted}", size=WHOLE)
        if spool.accepted % 2:  # every other one is a digital block
            symbols = frame.block.analog.symbols
            frame.block.coded.symbols, frame.block.coded.size_index = symbols, 1
        block = symbols_of(frame.block)
        assert block is not None
        block.piece_uses = PIECE
        frame.block.more_available = True
        [number] = spool.accept([replace(frame, air_ms=64.0, energy_uj=6.4)])
        blocks[number] = block.symbols
    return blocks


@pytest.mark.parametrize("faults", [0.0, 0.1])
def test_each_frame_has_one_answer_from_its_own_pieces(tmp_path: Path, faults: float) -> None:
    spool, published = Spool(tmp_path, "cam"), list[Outcome]()
    far = Listener(seed=3)
    far.faults = faults
    blocks = fill(spool, 16)
    with served(far) as to, sending(spool, to, published, window=4) as metrics:
        until(lambda: spool.waiting == 0)
        until(lambda: len(published) == 16)
    assert sorted(outcome.sequence for outcome in published) == sorted(blocks)
    for number, symbols in blocks.items():
        uses = max(far.wanted(number), 1) * PIECE
        assert far.answered[number] == (symbols * 2)[: 4 * uses]
    spool.close()
    rows = {row["sequence"]: row for row in read(tmp_path)}
    for number in blocks:
        assert rows[number]["identities"][0]["subject"] == f"n{number}"
        assert rows[number]["uses"] == far.wanted(number) * PIECE
        assert rows[number]["air_ms"] == pytest.approx(rows[number]["uses"])
        assert rows[number]["energy_uj"] == pytest.approx(rows[number]["uses"] / 10)
    assert value(metrics, "airreid_edge_uses_total") == sum(row["uses"] for row in rows.values())


@pytest.mark.parametrize("faults", [0.0, 0.1])
def test_where_words_are_dear_more_goes_out_than_was_asked_for(
    tmp_path: Path, faults: float
) -> None:
    """At a symbol rate at which everything would be sent before a word could come."""
    spool, published = Spool(tmp_path, "cam"), list[Outcome]()
    far = Listener(seed=3)
    far.faults = faults
    pacing = Pacing(1e9)
    blocks = fill(spool, 40)
    with served(far) as to, sending(spool, to, published, window=1, pacing=pacing) as metrics:
        until(lambda: len(published) == 40)
    assert sorted(outcome.sequence for outcome in published) == sorted(blocks)
    at_once = 0
    for number, symbols in blocks.items():
        heard = far.answered[number]
        assert heard == (symbols * 2)[: len(heard)]
        assert len(heard) >= 4 * far.wanted(number) * PIECE
        at_once += len(heard) == 4 * WHOLE and far.wanted(number) * PIECE < WHOLE
    assert at_once > 10
    assert value(metrics, "airreid_edge_uses_total") == sum(
        len(heard) / 4 for heard in far.answered.values()
    )
    spool.close()


def test_the_time_to_an_answer_begins_with_the_first_piece() -> None:
    spool, published = Spool(None, "cam"), list[Outcome]()
    far = Listener()
    fill(spool, 2)
    with served(far) as to, sending(spool, to, published):
        until(lambda: len(published) == 2)
    by_pieces = {outcome.sequence: outcome.link_ms for outcome in published}
    assert all(ms > 0 for ms in by_pieces.values())
    assert [outcome.sends for outcome in published] == [1, 1]
    spool.close()


# Settings


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder(nested_bundle(tmp_path_factory.mktemp("nested"), rule=False), 1)


@pytest.mark.parametrize(
    ("bandwidth", "uses", "available", "by_report"),
    [
        (None, 128, False, False),
        ("96", 96, False, False),
        ("auto", 128, True, False),
        ("report", 128, False, True),
    ],
)
def test_a_frame_waits_as_it_is_to_be_sent(
    encoder: Encoder, bandwidth: str | None, uses: int, available: bool, by_report: bool
) -> None:
    settings = encoder.send_settings(SCHEME, None, 5, bandwidth)
    spool = Spool(None, "cam")
    pipeline = Pipeline(encoder, spool, settings, Radio(), Metrics())
    pipeline.submit(Frame("grpc", "a", picture())).result(20)
    pipeline.close()
    [block] = spool.blocks(-1, 5)
    assert np.frombuffer(block.analog.symbols, "<f4").shape == (uses,)
    assert block.analog.piece_uses == 32
    assert (block.more_available, block.by_report) == (available, by_report)
    assert pipeline.switch(SCHEME, None).bandwidth == bandwidth
    spool.close()


def test_the_digital_scheme_is_the_one_that_the_link_carries(bundle: Bundle) -> None:
    encoder, spool = Encoder(bundle, 1), Spool(None, "cam")
    settings = encoder.send_settings("digital-256", None, 5, "report")
    pipeline = Pipeline(encoder, spool, settings, Radio(), Metrics())

    def sent(snr_db: float | None) -> tuple[str, Accepted]:
        if snr_db is not None:
            answer = uplink_pb2.QueryResponse()
            answer.link_report.snr_db = snr_db
            pipeline.link.heard(answer)
        accepted = pipeline.submit(Frame("grpc", "a", picture())).result(20)
        [block] = spool.blocks(accepted.sequence - 1, 1)
        assert (block.report_wanted, block.by_report) == (True, False)
        assert block.WhichOneof("payload") == "coded"
        return block.scheme_id, accepted

    assert sent(None)[0] == "digital-256-r1"
    fast, accepted = sent(20.0)
    assert fast == "digital-256-r2"
    assert accepted.cost.payload_bits > 200
    scheme = encoder.scheme(fast)
    [payload] = scheme.pack(encoder.features([Image.open(io.BytesIO(picture()))]), "coded")
    assert accepted.cost.side_bits == scheme.cost(payload).side_bits + 2  # one of four schemes
    assert sent(-20.0)[0] == "digital-256-r1"
    assert pipeline.switch("digital-64", None).bandwidth is None
    accepted = pipeline.submit(Frame("grpc", "a", picture())).result(20)
    [block] = spool.blocks(accepted.sequence - 1, 1)
    assert (block.scheme_id, block.report_wanted) == ("digital-64", False)
    pipeline.close()
    spool.close()
    with pytest.raises(InputError, match="give --link coded"):
        encoder.send_settings("digital-256", "ideal", 5, "report")


@pytest.mark.parametrize("bandwidth", ["40", "160", "16"])
def test_a_bandwidth_that_cannot_be_sent_is_refused(encoder: Encoder, bandwidth: str) -> None:
    with pytest.raises(InputError, match="give a multiple of 32 up to 128"):
        encoder.send_settings(SCHEME, None, 5, bandwidth)


@pytest.mark.parametrize(("bandwidth", "uses", "cost"), [("auto", 416, 256), ("96", 96, 96)])
def test_a_digital_frame_waits_in_pieces(
    bundle: Bundle, bandwidth: str, uses: int, cost: int
) -> None:
    encoder, spool = Encoder(bundle, 1), Spool(None, "cam")
    settings = encoder.send_settings("digital-256-r1", None, 5, bandwidth)
    pipeline = Pipeline(encoder, spool, settings, Radio(), Metrics())
    accepted = pipeline.submit(Frame("grpc", "a", picture())).result(20)
    [block] = spool.blocks(accepted.sequence - 1, 1)
    pipeline.close()
    spool.close()
    scheme = encoder.scheme("digital-256-r1")
    assert isinstance(scheme, DigitalScheme)
    [whole] = scheme.pack_pieces(encoder.features([Image.open(io.BytesIO(picture()))]))
    symbols = np.frombuffer(block.coded.symbols, "<f4")
    np.testing.assert_array_equal(symbols, whole.symbols[:uses])
    assert (block.coded.piece_uses, block.coded.size_index) == (32, whole.size)
    assert (block.more_available, block.by_report) == (bandwidth == "auto", False)
    assert (accepted.cost.uses, accepted.cost.crc_bits) == (cost, 16)


def test_the_ideal_link_has_no_pieces(bundle: Bundle) -> None:
    for bandwidth in ("auto", "96"):
        with pytest.raises(InputError, match="the ideal link has no pieces; give --link coded"):
            Encoder(bundle, 1).send_settings("digital-256", "ideal", 5, bandwidth)
    with pytest.raises(InputError, match="give a multiple of 32 up to 256"):
        Encoder(bundle, 1).send_settings("digital-256", None, 5, "100")


def test_other_schemes_cannot_be_cut(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="jscc-ae-64 cannot be cut; give --scheme jscc-n"):
        Encoder(bundle, 1).send_settings("jscc-ae-64", None, 5, "auto")
