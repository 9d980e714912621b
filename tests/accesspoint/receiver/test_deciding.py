"""Decisions and fused tracks in the answers of the receiver."""

from __future__ import annotations

import math

import numpy as np
import pytest

from accesspoint.gallery.gallery import Gallery
from accesspoint.matching.policy import SETTING, MatchPolicy, Point, Table
from accesspoint.matching.tracks import TrackFusion, TrackSettings
from accesspoint.receiver.blocks import Receiver
from airreid import wire
from airreid.bundle import Bundle
from airreid.v1 import common_pb2, uplink_pb2

from .support import SCHEME, Blocks, people

POLICY = MatchPolicy(
    false_match_rate=0.02,
    margin=0.05,
    schemes={
        SCHEME: Table(
            points=(
                Point(snr_db=0.0, threshold=0.9, review_threshold=0.2),
                Point(snr_db=10.0, threshold=0.1, review_threshold=0.1),
            )
        )
    },
)


def on_air(
    blocks: Blocks, sequence: int, snr_db: float, **fields: object
) -> uplink_pb2.QueryRequest:
    """A block with noise as a channel would leave it."""
    request = blocks(sequence, **fields)
    sent = np.frombuffer(request.analog.symbols, "<f4")
    noise = np.random.default_rng(sequence).standard_normal(len(sent)) * 10 ** (-snr_db / 20)
    request.analog.symbols = wire.to_bytes((sent + noise).astype(np.float32))
    request.channel.model, request.channel.snr_db = "awgn", snr_db
    return request


def test_nothing_is_decided_until_somebody_says_when_a_match_is_one(
    bundle: Bundle, full: Gallery, blocks: Blocks
) -> None:
    receiver = Receiver(bundle, full)
    [answer] = receiver.answer([blocks(3)])
    assert answer.decision.kind == common_pb2.DECISION_UNSPECIFIED
    full.set_setting(SETTING, POLICY.model_dump_json())
    [answer] = receiver.answer([blocks(3)])
    assert answer.decision.kind == common_pb2.DECISION_MATCH
    assert answer.decision.subject == "p3"
    assert answer.decision.threshold == pytest.approx(0.1)  # a direct link is beyond 10 dB
    assert answer.decision.false_match_rate == 0.02
    full.set_setting(SETTING, "{")
    [answer] = receiver.answer([blocks(3)])
    assert answer.decision.kind == common_pb2.DECISION_UNSPECIFIED
    assert answer.status.code == common_pb2.CODE_OK


def test_no_decision_names_the_schemes_that_are_calibrated(
    bundle: Bundle, full: Gallery, blocks: Blocks
) -> None:
    receiver = Receiver(bundle, full)
    [nothing] = receiver.answer([blocks(3)])
    assert nothing.status.message == ""
    tables = dict.fromkeys(("jscc-fc-256", "digital-64", "features"), POLICY.schemes[SCHEME])
    full.set_setting(SETTING, MatchPolicy(schemes=tables).model_dump_json())
    [other] = receiver.answer([blocks(3)])
    assert (other.status.code, other.decision.kind) == (common_pb2.CODE_OK, 0)
    assert other.status.message == f"calibrated for jscc-fc-256, digital-64, this was {SCHEME}"
    assert other.identities[0].subject == "p3"


def test_the_margin_counts_though_one_identity_is_asked_for(
    bundle: Bundle, full: Gallery, blocks: Blocks
) -> None:
    full.set_setting(SETTING, POLICY.model_dump_json())
    receiver = Receiver(bundle, full)
    alone, both = receiver.answer([blocks(3), blocks(3)])
    two = blocks(3)
    two.top_k = 2
    [wide] = receiver.answer([two])
    assert len(alone.identities) == len(both.identities) == 1
    gap = wide.identities[0].score - wide.identities[1].score
    assert alone.decision.margin == pytest.approx(gap, abs=1e-6)


def test_a_stranger_is_nobody(bundle: Bundle, full: Gallery) -> None:
    strict = Table(points=(Point(snr_db=10.0, threshold=0.99, review_threshold=0.98),))
    full.set_setting(SETTING, MatchPolicy(schemes={SCHEME: strict}).model_dump_json())
    strangers = Blocks(bundle, -people(20)[::-1].copy() * 2)
    answers = Receiver(bundle, full).answer([strangers(i) for i in range(5)])
    assert {answer.decision.kind for answer in answers} == {common_pb2.DECISION_UNKNOWN}
    assert {answer.decision.subject for answer in answers} == {""}


def test_frames_of_a_track_are_answered_together(
    bundle: Bundle, full: Gallery, blocks: Blocks
) -> None:
    full.set_setting(SETTING, POLICY.model_dump_json())
    receiver = Receiver(bundle, full, TrackFusion(TrackSettings(max_frames=4)))
    size = len(blocks.payloads)
    frames = [on_air(blocks, 7 + size * n, 0.0, track_id="t") for n in range(6)]
    others = [on_air(blocks, 8, 0.0), on_air(blocks, 7, 0.0, track_id="t", edge="cam-2")]
    answers = receiver.answer([*frames, *others])
    assert [answer.fused_frames for answer in answers] == [0, 2, 3, 4, 4, 4, 0, 0]
    for answer, count in zip(answers[:4], (1, 2, 3, 4), strict=True):
        worth = 10 * math.log10(count)
        assert answer.decision.threshold == pytest.approx(0.9 - 0.08 * worth, abs=1e-5)
    assert [answer.identities[0].subject for answer in answers[1:6]] == ["p7"] * 5
    single = Receiver(bundle, full).answer(frames)
    assert {answer.fused_frames for answer in single} == {0}
