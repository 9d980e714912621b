"""The uplink that is kept going, against an access point that misbehaves on purpose."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from airreid.link_report import ReportedLink
from airreid.nested.pacing import Pacing
from airreid.v1 import common_pb2
from edge import backoff
from edge.metrics import Metrics
from edge.results import Outcome
from edge.settings import UplinkSettings
from edge.spool import Spool
from edge.uplink_sender import Sender

from .support import AccessPoint, answer, entry, served, until


@contextmanager
def sending(
    spool: Spool, to: str, published: list[Outcome], drain: float = 0.0, **settings: Any
) -> Iterator[Metrics]:
    metrics = Metrics()
    with sender_on(spool, to, published, metrics, drain, **settings):
        yield metrics


@contextmanager
def sender_on(
    spool: Spool,
    to: str,
    published: list[Outcome],
    metrics: Metrics,
    drain: float = 0.0,
    bundle_id: str = "",
    pacing: Pacing | None = None,
    **settings: object,
) -> Iterator[Sender]:
    chosen = UplinkSettings.model_validate(
        {"backoff_seconds": 0.1, "answer_seconds": 0.5, "connect_seconds": 2.0, **settings}
    )
    sender = Sender(
        *(to, spool, chosen, published.extend, metrics, random.Random(1), ReportedLink()),
        bundle_id=bundle_id,
        pacing=pacing,
    )
    sender.start()
    try:
        yield sender
    finally:
        sender.stop(drain)


def fill(spool: Spool, count: int) -> None:
    spool.accept([entry(f"n{spool.accepted + i}") for i in range(count)])


def value(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value(name) or 0.0


def test_everything_is_answered_in_order_over_broken_streams() -> None:
    spool, published, far = Spool(None, "cam"), [], AccessPoint()
    far.break_after = 3
    fill(spool, 20)
    with served(far) as to, sending(spool, to, published) as metrics:
        until(lambda: spool.waiting == 0)
        fill(spool, 1)
        until(lambda: spool.waiting == 0)
        until(lambda: len(published) == 21)
    assert sorted(outcome.sequence for outcome in published) == list(range(1, 22))
    assert value(metrics, "airreid_edge_reconnects_total") >= 5
    assert (
        metrics.registry.get_sample_value("airreid_edge_frames_answered_total", {"code": "ok"})
        == 21
    )
    first_seen = list(dict.fromkeys(sequence for _, sequence in far.seen))
    assert first_seen == sorted(first_seen)
    spool.close()


def test_two_answers_make_one_row() -> None:
    spool, published, far = Spool(None, "cam"), [], AccessPoint()
    far.twice = True
    fill(spool, 5)
    with served(far) as to, sending(spool, to, published):
        until(lambda: spool.waiting == 0)
    assert len(published) == 5
    assert {outcome.response.identities[0].subject for outcome in published} == {"first"}
    spool.close()


def test_a_forgotten_block_is_sent_again_under_its_number() -> None:
    spool, published, far = Spool(None, "cam"), [], AccessPoint()
    far.forget, far.strangers = {3}, True
    fill(spool, 4)
    with served(far) as to, sending(spool, to, published):
        until(lambda: spool.waiting == 0)
    [again] = [outcome for outcome in published if outcome.sequence == 3]
    assert again.sends == 2
    assert len(published) == 4
    spool.close()


def test_no_more_are_unanswered_than_the_window() -> None:
    spool, published, far = Spool(None, "cam"), [], AccessPoint()
    far.gate.clear()
    fill(spool, 30)
    with served(far) as to, sending(spool, to, published, window=4, answer_seconds=60):
        until(lambda: far.seen)
        assert len(far.seen) <= 4
        far.gate.set()
        until(lambda: spool.waiting == 0)
    spool.close()


def test_stray_and_doubled_answers_do_not_widen_the_window() -> None:
    spool, published, far = Spool(None, "cam"), [], AccessPoint()
    far.twice = far.strangers = True
    fill(spool, 10)
    with served(far) as to, sending(spool, to, published, window=2, answer_seconds=60):
        until(lambda: spool.waiting == 0)
        far.gate.clear()
        fill(spool, 10)
        until(lambda: len(far.seen) > 10)
        far.gate.wait(0.3)
        assert len(far.seen) <= 12
    spool.close()


def test_a_block_goes_again_until_the_access_point_is_ready() -> None:
    spool, published, far = Spool(None, "cam"), [], AccessPoint()
    far.not_ready = 11
    fill(spool, 6)
    with served(far) as to, sending(spool, to, published, window=4, answer_seconds=60) as metrics:
        until(lambda: spool.waiting == 0)
        assert value(metrics, "airreid_edge_reconnects_total") == 0
    assert len(far.seen) == 17
    assert len(published) == 6
    assert {outcome.code for outcome in published} == {"ok"}
    assert sum(outcome.sends for outcome in published) == 17
    spool.close()


def test_frames_wait_while_the_access_point_serves_another_bundle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Over an end of the edge, and an end of the access point."""
    caplog.set_level("INFO", "airreid")
    far, published = AccessPoint(), list[Outcome]()
    far.bundle_id = "new"
    with closing(Spool(tmp_path, "cam")) as spool, served(far) as to:
        fill(spool, 5)
        with sender_on(spool, to, published, Metrics(), bundle_id="b") as sender:
            until(lambda: len(far.seen) > 12)
            fill(spool, 1)
            until(lambda: 6 in {sequence for _, sequence in far.seen})
            assert sender.refusal == "wrong_bundle: bundle b is not the one served"
            assert (spool.waiting, published) == (6, [])
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.getMessage() for record in warnings] == ["frames_kept"]
    far.bundle_id = "b"
    with closing(Spool(tmp_path, "cam")) as spool, served(far) as to:
        with sender_on(spool, to, published, Metrics(), bundle_id="b") as sender:
            until(lambda: spool.waiting == 0)
            assert sender.refusal == ""
        assert sorted(outcome.sequence for outcome in published) == list(range(1, 7))
        assert {outcome.code for outcome in published} == {"ok"}


def test_frames_of_an_earlier_bundle_of_the_edge_hold_nobody_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "airreid")
    far, published = AccessPoint(), list[Outcome]()
    far.bundle_id = "new"
    with closing(Spool(None, "cam")) as spool, served(far) as to:
        fill(spool, 3)
        with sender_on(spool, to, published, Metrics(), bundle_id="new") as sender:
            until(lambda: spool.waiting == 0)
            assert sender.refusal.startswith("wrong_bundle: bundle b is not")
    assert {outcome.code for outcome in published} == {"wrong_bundle"}
    assert all(outcome.is_refusal for outcome in published)
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.getMessage() for record in warnings] == ["frame_refused"]


def test_dropped_is_an_answer_that_stays() -> None:
    spool = Spool(None, "cam")
    fill(spool, 1)
    [first] = spool.settle([answer(spool, 1, code=common_pb2.CODE_DROPPED)])
    assert first.code == "dropped"
    assert spool.waiting == 0
    spool.close()


def test_the_other_end_is_told_what_is_settled_even_when_nothing_more_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.uplink_stream._IDLE_SECONDS", 0.05)
    spool, published, far = Spool(None, "cam"), [], AccessPoint()
    fill(spool, 5)
    with served(far) as to, sending(spool, to, published):
        until(lambda: far.settled and far.settled[-1] == 6)
        assert spool.waiting == 0
        reports = len(far.settled)
        far.gate.wait(0.3)
        assert len(far.settled) == reports  # once is enough
    spool.close()


def test_nobody_there_and_then_somebody() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spool, published, far = Spool(None, "cam"), [], AccessPoint()
    fill(spool, 3)
    with sending(spool, f"127.0.0.1:{port}", published, connect_seconds=0.3) as metrics:
        until(lambda: value(metrics, "airreid_edge_link_up") == 0.0)
        with served(far, port):
            until(lambda: spool.waiting == 0)
    assert len(published) == 3
    spool.close()


def test_the_log_says_each_change_of_the_link_once(caplog: pytest.LogCaptureFixture) -> None:
    """However many answers come meanwhile, and however often it is tried in vain."""
    caplog.set_level("INFO", "airreid")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spool, published = Spool(None, "cam"), []

    def changes() -> list[str]:
        events = [record.getMessage() for record in caplog.records]
        return [event for event in events if event in ("link_up", "link_down")]

    fill(spool, 20)
    expected = ["link_down"]
    with sending(spool, f"127.0.0.1:{port}", published, connect_seconds=0.3) as metrics:
        until(lambda: changes() == expected)
        for streams in (1, 2):
            far = AccessPoint()
            far.not_ready = 1
            with served(far, port):
                until(lambda: spool.waiting == 0)
                expected.append("link_up")
                assert changes() == expected
            expected.append("link_down")
            until(lambda: changes() == expected)
            assert value(metrics, "airreid_edge_reconnects_total") >= streams - 1
            fill(spool, 20)
    assert changes() == expected
    spool.close()


def test_stopping_drains_or_leaves() -> None:
    spool, published, far = Spool(None, "cam"), [], AccessPoint()
    fill(spool, 200)
    with served(far) as to, sending(spool, to, published, drain=20.0):
        until(lambda: far.seen)
    assert spool.waiting == 0
    far.gate.clear()
    fill(spool, 7)
    with served(far) as to, sending(spool, to, published, drain=0.2):
        until(lambda: len(far.seen) > 200)
    assert spool.waiting == 7
    assert len(spool.blocks(0, 99)) == 7
    spool.close()


def test_an_answer_that_the_disk_does_not_take_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sqlite3

    monkeypatch.setattr("edge.uplink_sender._RETRY_SECONDS", 0.02)
    spool, published, far = Spool(None, "cam"), [], AccessPoint()
    real, failures = spool.settle, [0]

    def settle(outcomes: list[Outcome]) -> list[Outcome]:
        failures[0] += 1
        if failures[0] < 5:
            raise sqlite3.OperationalError("database or disk is full")
        return real(outcomes)

    monkeypatch.setattr(spool, "settle", settle)
    fill(spool, 3)
    with served(far) as to, sending(spool, to, published):
        until(lambda: spool.waiting == 0)
        until(lambda: len(published) == 3)
    spool.close()


def test_waits_grow_and_are_spread_over_the_whole_range() -> None:
    rng = random.Random(0)
    for attempt in range(70):
        bound = min(30.0, 0.2 * 2**attempt)
        drawn = [backoff.delay(attempt, 30.0, rng) for _ in range(300)]
        assert min(drawn) < 0.1 * bound
        assert 0.9 * bound < max(drawn) <= bound
