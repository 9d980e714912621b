"""An answer on its way into the log, and the log as plain values."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from airreid.errors import InputError
from airreid.v1 import common_pb2, uplink_pb2
from edge import results
from edge.results import Outcome
from edge.spool import Spool
from edge.spool_file import FILE

from .support import answer, entry


def response(code: int = common_pb2.CODE_OK) -> uplink_pb2.QueryResponse:
    out = uplink_pb2.QueryResponse()
    out.status.code = code  # type: ignore[assignment]
    return out


def test_a_code_is_its_name_in_small_letters_or_its_number() -> None:
    assert Outcome(1, response(), 0.0).code == "ok"
    assert Outcome(1, response(common_pb2.CODE_WRONG_BUNDLE), 0.0).code == "wrong_bundle"
    assert Outcome(1, response(99), 0.0).code == "99"
    assert Outcome(1, response(), 0.0).sends == 1


def test_a_message_is_cut_and_no_channel_has_no_snr() -> None:
    long = response()
    long.status.message = "m" * 1001
    outcome = Outcome(1, long, 0.0)
    assert outcome.message == "m" * 1000
    assert outcome.snr_db is None
    assert not outcome.outage
    long.channel.snr_db = -2.5
    long.outage = True
    assert (outcome.snr_db, outcome.outage) == (-2.5, True)


def test_identities_are_plain_and_short() -> None:
    out = response()
    out.identities.add(subject="a", score=0.123456789, entry_id=5, camera="c")
    row = {"score": 0.123457, "entry": 5, "camera": "c"}
    assert results.identities(out) == [{"subject": "a", "identity": "a", **row}]
    text = results.identities_json(out)
    assert json.loads(text) == [{"identity": "a", **row}]  # as spools have always stored it
    assert " " not in text


def test_the_log_is_read_by_state_and_from_its_end(tmp_path: Path) -> None:
    with closing(Spool(tmp_path, "cam")) as spool:
        spool.accept([entry(f"{i}.png") for i in range(5)])
        spool.settle([answer(spool, 2), answer(spool, 4, code=common_pb2.CODE_OUTAGE)])
    rows = list(results.read(tmp_path))
    assert [row["sequence"] for row in rows] == [1, 2, 3, 4, 5]
    states = [row["state"] for row in rows]
    assert states == ["waiting", "answered", "waiting", "answered", "waiting"]
    assert [row["sequence"] for row in results.read(tmp_path, "answered")] == [2, 4]
    assert [row["sequence"] for row in results.read(tmp_path, "waiting", 2)] == [3, 5]
    assert [row["sequence"] for row in results.read(tmp_path, last=1)] == [5]
    assert [row["sequence"] for row in results.read(tmp_path, last=99)] == [1, 2, 3, 4, 5]
    assert list(results.read(tmp_path, "dropped")) == []
    answered, waiting = rows[1], rows[0]
    assert (answered["outage"], answered["code"], answered["link_ms"]) == (False, "ok", 2.0)
    assert answered["settled_at"] >= answered["accepted_at"] > 1.7e9  # seconds since 1970
    assert answered["subjects"][0]["subject"] == "alice"
    assert answered["identities"] == [{"identity": "alice", **answered["subjects"][0]}]
    assert answered["decision"]["kind"] == "unspecified"
    unknown = ("settled_at", "identities", "subjects", "decision")
    assert [waiting[name] for name in unknown] == [None] * 4
    assert waiting["outage"] is None
    assert waiting["encode_ms"] == 1.5
    assert rows[3]["code"] == "outage"


def test_the_log_keeps_the_decision_and_a_spool_of_before_has_none(tmp_path: Path) -> None:
    with closing(Spool(tmp_path, "cam")) as spool:
        spool.accept([entry("0.png"), entry("1.png")])
        spool.settle([answer(spool, 1)])
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute("ALTER TABLE frames DROP COLUMN decision")
    before = list(results.read(tmp_path))
    assert [row["decision"] for row in before] == [None, None]
    assert before[0]["identities"][0]["subject"] == "alice"
    with closing(Spool(tmp_path, "cam")) as spool:
        matched = answer(spool, 2)
        matched.response.decision.kind = common_pb2.DECISION_MATCH
        matched.response.decision.subject = "alice"
        matched.response.decision.threshold = 0.25
        spool.settle([matched])
    first, second = results.read(tmp_path)
    assert first["decision"] is None
    assert second["decision"]["kind"] == "match"
    assert (second["decision"]["subject"], second["decision"]["threshold"]) == ("alice", 0.25)


def test_no_spool_and_no_database_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no spool here; give the --spool"):
        list(results.read(tmp_path))
    (tmp_path / "spool.sqlite").write_text("no database, but long enough to be looked at" * 30)
    with pytest.raises(InputError, match=r"spool\.sqlite: cannot be read as a spool"):
        list(results.read(tmp_path))
