"""A bad block is answered with what is wrong; the blocks beside it with their identities."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.receiver import blocks as blocks_module
from accesspoint.receiver.blocks import Receiver
from accesspoint.receiver.query_event import query_event
from accesspoint.receiver.requests import parse
from airreid import wire
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.payload import Payload
from airreid.scheme import Received, Scheme
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN
from airreid.v1 import common_pb2, uplink_pb2


@pytest.fixture
def receiver(bundle: Bundle, gallery: Gallery, features: np.ndarray) -> Receiver:
    gallery.enrol(
        [NewEntry(f"p{i}", "cam-0", gallery.space_id, features[i * 6]) for i in range(12)]
    )
    return Receiver(bundle, gallery)


def request(bundle: Bundle, features: np.ndarray, **changes: object) -> uplink_pb2.QueryRequest:
    from airreid.jscc import JsccScheme

    runner = JsccScheme(bundle, bundle.scheme("jscc-ae-256"), 1)
    fields: dict[str, object] = {
        "id": common_pb2.BlockId(edge_id="cam", spool_id="s", sequence=1),
        "bundle_id": bundle.bundle_id,
        "scheme_id": "jscc-ae-256",
        "analog": uplink_pb2.AnalogBlock(symbols=wire.to_bytes(runner.encode(features[:1])[0])),
    }
    return uplink_pb2.QueryRequest(**(fields | changes))  # type: ignore[arg-type]


def symbols(values: np.ndarray) -> uplink_pb2.AnalogBlock:
    return uplink_pb2.AnalogBlock(symbols=wire.to_bytes(values))


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        (
            {"bundle_id": "feedfacefeedface"},
            common_pb2.CODE_WRONG_BUNDLE,
            "bundle feedfacefeedface is not the one served here",
        ),
        (
            {"scheme_id": "jscc-ae-999"},
            common_pb2.CODE_UNKNOWN_SCHEME,
            "no scheme 'jscc-ae-999' .* it has: jscc-ae-64",
        ),
        (
            {"analog": symbols(np.ones(64))},
            common_pb2.CODE_INVALID,
            "256 bytes where 1024 are needed",
        ),
        (
            {"analog": symbols(np.full(256, np.nan))},
            common_pb2.CODE_INVALID,
            "value 0 is nan; all must be finite",
        ),
        (
            {"analog": symbols(np.full(256, np.inf))},
            common_pb2.CODE_INVALID,
            "value 0 is inf",
        ),
        (
            {"analog": symbols(np.full(256, 3.3e38))},
            common_pb2.CODE_INVALID,
            "at most 1e",
        ),
        ({"analog": None}, common_pb2.CODE_INVALID, "the block has no payload"),
        ({"top_k": 100_000}, common_pb2.CODE_INVALID, "top_k is at most"),
        (
            {"id": common_pb2.BlockId(edge_id="x" * 1000)},
            common_pb2.CODE_INVALID,
            "edge_id: longer than",
        ),
        ({"track_id": "x" * 129}, common_pb2.CODE_INVALID, "track_id: longer than 128"),
        ({"truth": "x" * 129}, common_pb2.CODE_INVALID, "truth: longer than 128"),
        (
            {"channel": uplink_pb2.ChannelReport(model="x" * 65)},
            common_pb2.CODE_INVALID,
            "channel model: longer than 64",
        ),
        (
            {"channel": uplink_pb2.ChannelReport(snr_db=math.nan)},
            common_pb2.CODE_INVALID,
            "the SNR is not a number",
        ),
        ({"captured_at": Timestamp(seconds=-1)}, common_pb2.CODE_INVALID, "captured_at"),
        ({"captured_at": Timestamp(nanos=10**9)}, common_pb2.CODE_INVALID, "captured_at"),
        ({"captured_at": Timestamp(seconds=2**60)}, common_pb2.CODE_INVALID, "captured_at"),
    ],
)
def test_bad_blocks_are_answered_beside_good_ones(
    receiver: Receiver,
    bundle: Bundle,
    features: np.ndarray,
    changes: dict[str, object],
    code: common_pb2.Code.ValueType,
    message: str,
) -> None:
    good = request(bundle, features)
    bad = request(bundle, features, **changes)
    answers = receiver.answer([good, bad, good])
    assert [answer.status.code for answer in answers] == [
        common_pb2.CODE_OK,
        code,
        common_pb2.CODE_OK,
    ]
    import re

    assert re.search(message, answers[1].status.message)
    assert answers[0].identities[0].subject == answers[2].identities[0].subject == "p0"
    assert not answers[1].identities
    assert answers[1].id == bad.id


def test_link_is_named_and_the_report_comes_back(
    receiver: Receiver, bundle: Bundle, features: np.ndarray
) -> None:
    report = uplink_pb2.ChannelReport(model="awgn", snr_db=3.5)
    direct, over_air = receiver.answer(
        [request(bundle, features), request(bundle, features, channel=report, top_entries=4)]
    )
    assert direct.link == over_air.link == "analog"
    assert not direct.HasField("channel")
    assert over_air.channel == report
    assert len(over_air.entry_ids) == len(over_air.entry_scores) == 4
    assert list(over_air.entry_scores) == sorted(over_air.entry_scores, reverse=True)
    assert len(direct.identities) == 10
    assert direct.timings.batch == 2


@pytest.mark.parametrize(
    ("snr_db", "kept_db"),
    [(1e308, SNR_DB_MAX), (-1e308, SNR_DB_MIN), (math.inf, SNR_DB_MAX), (3.5, 3.5)],
)
def test_a_report_is_kept_within_the_range_of_an_snr(
    receiver: Receiver, bundle: Bundle, features: np.ndarray, snr_db: float, kept_db: float
) -> None:
    report = uplink_pb2.ChannelReport(model="m" * 60, snr_db=snr_db)
    block = request(bundle, features, channel=report)
    [answer] = receiver.answer([block])
    assert answer.status.code == common_pb2.CODE_OK
    assert answer.channel == uplink_pb2.ChannelReport(model="m" * 60, snr_db=kept_db)
    assert query_event(block, answer, 0.0)["snr_db"] == kept_db


def test_a_message_has_little_beside_its_payload(bundle: Bundle, features: np.ndarray) -> None:
    longest = "x" * 128
    block = request(
        bundle,
        features,
        id=common_pb2.BlockId(edge_id=longest, spool_id=longest, sequence=2**64 - 1),
        analog=symbols(np.ones(1 << 15)),
        track_id="\u4e00" * 128,
        truth="\u4e00" * 128,
    )
    assert parse(block.SerializeToString()) == block
    for changes in (
        {"track_id": "x" * 250_000},
        {"bundle_id": "x" * 9_000},
        {"channel": uplink_pb2.ChannelReport(model="x" * 9_000)},
    ):
        with pytest.raises(InputError, match="beside its payload"):
            parse(request(bundle, features, **changes).SerializeToString())
    with pytest.raises(InputError, match="beside its payload"):  # a field that nobody knows
        parse(block.SerializeToString() + b"\xfa\x3f\x90\x4e" + bytes(10_000))


def test_a_dear_row_is_searched_alone_and_finds_the_same(
    receiver: Receiver, bundle: Bundle, features: np.ndarray
) -> None:
    usual, dear = request(bundle, features), request(bundle, features, top_entries=5_000)
    [alone] = receiver.answer([usual])
    together = receiver.answer([usual, dear, usual])
    for answer in together:
        ranked = [match.subject for match in answer.identities]
        assert ranked == [match.subject for match in alone.identities]
    assert len(together[1].entry_ids) > len(together[0].entry_ids) == 0


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=4096))
def test_any_bytes_are_answered(receiver: Receiver, bundle: Bundle, data: bytes) -> None:
    block = uplink_pb2.QueryRequest(
        bundle_id=bundle.bundle_id,
        scheme_id="jscc-ae-256",
        analog=uplink_pb2.AnalogBlock(symbols=data),
    )
    [answer] = receiver.answer([block])
    assert answer.status.code in (common_pb2.CODE_OK, common_pb2.CODE_INVALID)


class NotANumber:
    """A scheme whose decoder gives NaN for blocks that begin above 0."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme

    def unpack(self, payloads: Sequence[Payload], snrs_db: Sequence[float]) -> Received:
        received = self._scheme.unpack(payloads, snrs_db)
        broken = [payload.symbols[0] > 0 for payload in payloads]  # type: ignore[union-attr]
        received.embeddings[broken] = np.nan
        return received


class Broken(NotANumber):
    """A scheme whose decoder breaks on a batch with a block that begins above 0."""

    def unpack(self, payloads: Sequence[Payload], snrs_db: Sequence[float]) -> Received:
        received = super().unpack(payloads, snrs_db)
        if np.isnan(received.embeddings).any():
            raise RuntimeError("a fault of the scheme")
        return received


def test_a_block_that_a_scheme_breaks_on_takes_no_other_along(
    bundle: Bundle, gallery: Gallery, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme = gallery.scheme
    monkeypatch.setattr(gallery, "scheme", lambda name: Broken(scheme(name)))
    signs = [-1, 1, -1]
    blocks = [np.full(256, sign, np.float32) for sign in signs]
    requests = [request(bundle, np.ones((1, 2048), np.float32), analog=symbols(b)) for b in blocks]
    answers = receiver.answer(requests)
    codes = {1: common_pb2.CODE_INTERNAL, -1: common_pb2.CODE_OK}
    assert [answer.status.code for answer in answers] == [codes[sign] for sign in signs]


def test_a_block_that_cannot_be_answered_leaves_nothing_twice(
    bundle: Bundle, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that failed is answered anew, each of its blocks once."""
    write = blocks_module.write_answer

    def fail(response: uplink_pb2.QueryResponse, *rest: object) -> None:
        write(response, *rest)  # type: ignore[arg-type]
        if response.id.sequence == 3:
            raise RuntimeError("a fault of ours")

    monkeypatch.setattr(blocks_module, "write_answer", fail)
    features = np.random.default_rng(1).standard_normal((6, 2048)).astype(np.float32)
    requests = [request(bundle, features[i : i + 1], top_k=2) for i in range(6)]
    for number, block in enumerate(requests):
        block.id.sequence = number
        block.channel.model, block.channel.snr_db = "awgn", 7.0
    answers = receiver.answer(requests)
    for number, answer in enumerate(answers):
        good = number != 3
        code = common_pb2.CODE_OK if good else common_pb2.CODE_INTERNAL
        assert answer.status.code == code
        assert len(answer.identities) == 2 * good
        assert (answer.id.sequence, answer.channel.snr_db) == (number, 7.0)
    assert len(receiver._links._cameras["cam"]) == 6  # each is noted once


def test_an_embedding_that_is_no_number_is_no_answer(
    bundle: Bundle, gallery: Gallery, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme = gallery.scheme
    monkeypatch.setattr(gallery, "scheme", lambda name: NotANumber(scheme(name)))
    signs = [1, -1, -1, 1]
    blocks = [np.full(256, sign, np.float32) for sign in signs]
    requests = [request(bundle, np.ones((1, 2048), np.float32), analog=symbols(b)) for b in blocks]
    answers = receiver.answer(requests)
    codes = {1: common_pb2.CODE_INVALID, -1: common_pb2.CODE_OK}
    assert [answer.status.code for answer in answers] == [codes[sign] for sign in signs]
    assert "makes no finite numbers" in answers[0].status.message
    assert not answers[0].identities
    scores = [match.score for answer in answers for match in answer.identities]
    assert np.isfinite(scores).all()


def test_a_scheme_whose_files_were_altered_says_so_until_they_are_back(
    bundle: Bundle, gallery: Gallery, features: np.ndarray, tmp_path: Path
) -> None:
    copy = Bundle(tmp_path / "copy", bundle.manifest, bundle.bundle_id)
    shutil.copytree(bundle.path, copy.path)
    served = Gallery(gallery.store, copy, threads=1)
    try:
        decoder = copy.path / "jscc-ae-256.decoder.onnx"
        whole = decoder.read_bytes()
        decoder.write_bytes((copy.path / "jscc-ae-64.decoder.onnx").read_bytes())
        receiver = Receiver(copy, served)
        [answer] = receiver.answer([request(bundle, features)])
        assert answer.status.code == common_pb2.CODE_INTERNAL
        assert "cannot use scheme jscc-ae-256" in answer.status.message
        decoder.write_bytes(whole)
        [answer] = receiver.answer([request(bundle, features)])
        assert answer.status.code == common_pb2.CODE_OK
    finally:
        served.close()
