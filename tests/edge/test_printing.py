"""Answers, rows and states as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from airreid.errors import InputError
from airreid.local_time import local_time
from airreid.scheme import BlockCost
from airreid.v1 import common_pb2, edge_pb2, uplink_pb2
from edge import printing
from edge.airtime import Radio
from edge.oneshot import Sent


def sent(name: str, latency_ms: float = 12.34, error: str = "", **answer: object) -> Sent:
    """An answer by two people over a link of 6.5 dB, or as ``answer`` changes it."""
    response = uplink_pb2.QueryResponse(link="analog")
    response.identities.add(subject="alice", score=0.98765)
    response.identities.add(subject="bob", score=-0.25)
    response.decision.kind = common_pb2.DECISION_MATCH
    response.decision.subject = "alice"
    response.channel.snr_db = 6.5
    for field, value in answer.items():
        if value is None:
            response.ClearField(field)  # type: ignore[arg-type]
        else:
            setattr(response, field, value)
    cost = BlockCost(64, 0, 0, 0)
    return Sent(Path("/data/run") / name, response, latency_ms, error, cost, whole_uses=256)


def test_answers_stand_in_columns() -> None:
    lost = sent("p2/c1/7.png", 1234.5, outage=True, link="coded")
    assert lost.response is not None
    lost.response.status.message = "the bits did not survive"
    lines = sent_lines(
        [
            sent("p1/c1/0.png"),
            sent("person/c1/0.png", identities=None, channel=None),
            lost,
            Sent(Path("torn.png"), None, 0.0, "torn.png: not an image"),
            Sent(Path("late.png"), None, 0.0, ""),
        ]
    )
    nearest, lost_bits = "alice 0.988  bob -0.250", "outage: the bits did not survive"
    nobody = "unknown (the gallery is empty)"
    assert lines == [
        ("p1/c1/0.png      analog   +6.5 dB    64 uses    12.3 ms  match alice", nearest),
        (f"person/c1/0.png  analog    direct    64 uses    12.3 ms  {nobody}", ""),
        (f"p2/c1/7.png      coded    +6.5 dB    64 uses  1234.5 ms  {lost_bits}", ""),
        ("torn.png            error  (see below)", ""),
        ("late.png            error  (see below)", ""),
    ]


def sent_lines(outcomes: Sequence[Sent]) -> list[printing.Line]:
    width = max(len(printing.file_name(outcome.path)) for outcome in outcomes)
    return [printing.sent_line(outcome, width) for outcome in outcomes]


def test_a_short_path_is_shown_whole() -> None:
    assert printing.file_name(Path("/tmp/x/a.jpg")) == "/tmp/x/a.jpg"
    assert printing.file_name(Path("/tmp/a.jpg")) == "/tmp/a.jpg"
    assert printing.file_name(Path("p/c/a.jpg")) == "p/c/a.jpg"
    assert printing.file_name(Path("a.jpg")) == "a.jpg"
    assert printing.file_name(Path("/data/p/c/a.jpg")) == "p/c/a.jpg"


def test_a_name_stands_before_the_id_that_was_made_of_it() -> None:
    named = sent("x")
    assert named.response is not None
    named.response.identities[0].subject = named.response.decision.subject = "Zo+C3+AB+"
    line = printing.sent_line(named, 1)
    assert line.text.endswith("match Zoë (Zo+C3+AB+)")
    assert line.faint == "Zoë (Zo+C3+AB+) 0.988  bob -0.250"


def test_channel_uses_are_summed_beside_those_of_whole_blocks() -> None:
    outcomes = [sent("a.png"), sent("b.png"), sent("c.png", error="torn")]
    assert printing.air_line(outcomes, Radio()) == (
        "2 answered with 128 channel uses, 64 a block; whole blocks take 512: 25%"
    )
    assert "64 a block (6.4 ms of air);" in printing.air_line(outcomes, Radio(symbol_rate=1e4))


def test_an_error_of_many_images_is_said_once() -> None:
    outcomes = [sent("a.png", error="no link"), sent("b.png"), sent("c.png", error="torn")]
    outcomes.append(sent("d.png", error="no link"))
    assert printing.error_lines(outcomes) == ["2 images: no link", "torn"]


ROW = {
    "sequence": 7,
    "accepted_at": 1767323045.6784,
    "state": "answered",
    "name": "a.png",
    "track_id": "",
    "scheme_id": "jscc-ae-64",
    "link": "analog",
    "snr_db": 6.54321,
    "uses": 96,
    "total_ms": 123.6,
    "code": "ok",
    "message": "",
    "identities": [{"subject": f"p{i}", "score": 0.9 - i / 10} for i in range(5)],
    "decision": {"kind": "unknown", "subject": None},
}
HEAD = f"       7  {local_time(1767323045.6784, 'T', 'milliseconds')}  "
NEAREST = " | p0 0.900  p1 0.800  p2 0.700"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "answered  a.png  jscc-ae-64 analog +6.54 dB  96 uses  124 ms  unknown" + NEAREST),
        (
            {"decision": {"kind": "ambiguous", "subject": "p0"}},
            "answered  a.png  jscc-ae-64 analog +6.54 dB  96 uses  124 ms  ambiguous: p0?"
            + NEAREST,
        ),
        (
            {"decision": None},  # a row of an earlier version
            "answered  a.png  jscc-ae-64 analog +6.54 dB  96 uses  124 ms  no decision" + NEAREST,
        ),
        (
            {"decision": None, "message": "calibrated for a, this was b"},
            "answered  a.png  jscc-ae-64 analog +6.54 dB  96 uses  124 ms  "
            "no decision (calibrated for a, this was b)" + NEAREST,
        ),
        (
            {"track_id": "t1", "snr_db": None, "identities": []},
            "answered  a.png  track t1  jscc-ae-64 analog  96 uses  124 ms  "
            "unknown (the gallery is empty)",
        ),
        (
            {"code": "outage", "message": "lost", "snr_db": -3.0},
            "answered  a.png  jscc-ae-64 analog -3 dB  96 uses  124 ms  outage: lost",
        ),
        (
            {"code": "wrong_bundle", "message": "not the one served", "snr_db": None},
            "refused   a.png  jscc-ae-64 analog  96 uses  124 ms  wrong_bundle: not the one served",
        ),
        ({"state": "waiting", "snr_db": None}, "waiting   a.png  jscc-ae-64 analog"),
        (
            {"state": "dropped", "snr_db": None, "message": "too old"},
            "dropped   a.png  jscc-ae-64 analog  too old",
        ),
    ],
)
def test_a_row_of_the_log_is_a_line(changes: dict[str, object], line: str) -> None:
    text, faint = printing.row_line({**ROW, **changes})
    assert " | ".join(filter(None, [text, faint])) == HEAD + line


def test_a_state_is_a_line() -> None:
    state = edge_pb2.EdgeState(edge_id="cam", scheme_id="s-64", link="coded", accepted=5, waiting=2)
    assert printing.state_line(state) == "cam: s-64 coded; link down; 5 frames accepted, 2 waiting"
    state.connected = True
    assert "link up;" in printing.state_line(state)
    state.refusal = "wrong_bundle: not the one served"
    assert printing.state_line(state).endswith("waiting; refused: wrong_bundle: not the one served")


def test_a_picture_is_checked_before_and_drawn_after(tmp_path: Path) -> None:
    for name in ("sheet", "sheet.txt"):
        with pytest.raises(InputError, match=r"pictures end in \.png, \.jpg or \.webp"):
            printing.check_picture(tmp_path / name)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        printing.check_picture(tmp_path / "file" / "sheet.png")
    path = tmp_path / "new" / "folder" / "sheet.PNG"
    printing.check_picture(path)
    assert path.read_bytes() == b""
    crop = tmp_path / "p1" / "c1" / "0.png"
    crop.parent.mkdir(parents=True)
    Image.new("RGB", (20, 40), (10, 200, 10)).save(crop)
    gone = sent("p2/c1/0.png", outage=True)
    failed = Sent(crop, None, 0.0, f"{crop}: not answered: gone")
    printing.save_picture(path, [sent("x", error=""), gone, failed])
    with Image.open(path) as sheet:
        assert sheet.size == (3 * 336, 208)
        pixels = sheet.convert("RGB").load()
        assert pixels is not None
        assert pixels[2 * 336 + 50, 100] == (10, 200, 10)
    with pytest.raises(InputError, match="cannot be written"):
        printing.save_picture(tmp_path / "none" / "sheet.png", [])


def test_what_is_drawn_for_an_answer(tmp_path: Path) -> None:
    crop = tmp_path / "p1" / "c1" / "0.png"
    crop.parent.mkdir(parents=True)
    Image.new("RGB", (20, 40)).save(crop)
    response = sent("x").response
    assert response is not None
    good = printing._query(Sent(crop, response, 1.0, ""))
    assert (good.title, good.good) == ("p1/c1/0.png", True)
    assert list(good.lines) == ["match alice"]
    assert list(good.faint) == ["0.988  alice", "-0.250  bob"]
    assert good.image is not None
    bad = printing._query(Sent(crop, None, 1.0, f"{crop}: not answered: the stream ended early"))
    assert list(bad.lines) == ["error: not answered: the stream", "ended early"]
    assert not bad.good
    lost = printing._query(sent("p9/c1/0.png", outage=True))
    assert (lost.image, lost.good, list(lost.lines)) == (None, False, ["outage:"])
    empty = printing._query(sent("p9/c1/0.png", identities=None))
    assert list(empty.lines) == ["unknown", "(the gallery is empty)"]
    stranger = sent("x")
    assert stranger.response is not None
    stranger.response.decision.kind = common_pb2.DECISION_UNKNOWN
    stranger.response.decision.subject = ""
    assert list(printing._query(stranger).lines) == ["unknown"]


def test_a_ranking_without_a_decision_is_said_to_be_one() -> None:
    plain = sent("x", decision=None)
    assert printing.sent_line(plain, 1).text.endswith("  no decision")
    [reason] = printing.undecided([sent("x"), plain, plain])
    assert reason.startswith("no decision: the access point is not calibrated, so the nearest may")
    assert not printing.undecided([sent("x"), sent("x", decision=None, identities=None)])
    other = sent("x", decision=None)
    assert other.response is not None
    other.response.status.message = "calibrated for a, this was b"
    [first, second] = printing.undecided([other, plain, other])
    assert "no decision: the access point is calibrated for a, this was b, so" in first
    assert first.endswith("or send by a calibrated scheme (--scheme)")
    assert second == reason
    assert other.as_dict()["message"] == "calibrated for a, this was b"


def test_json_of_an_answer_has_the_decision_before_the_nearest() -> None:
    fields = sent("x").as_dict()
    assert list(fields)[-3:] == ["decision", "subjects", "identities"]
    assert [row["subject"] for row in fields["subjects"]] == ["alice", "bob"]
    assert fields["decision"] == {
        "kind": "match",
        "subject": "alice",
        "threshold": 0.0,
        "margin": 0.0,
        "false_match_rate": 0.0,
    }
    undecided = sent("x", decision=None).as_dict()["decision"]
    assert undecided == dict.fromkeys(["subject", "threshold", "margin", "false_match_rate"]) | {
        "kind": "unspecified"
    }
