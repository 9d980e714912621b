"""The command line: what it prints, what it exits with, one line for a mistake."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from simulation.processes import Role

from .conftest import System


def airreid(*arguments: object, seconds: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airreid.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def fails(*arguments: object, code: int = 2) -> str:
    """The one line of an expected failure."""
    result = airreid(*arguments)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_send_prints_ranked_identities(system: System, people: Path) -> None:
    files = sorted((people / "person-0003" / "cam-1").glob("*.png"))
    result = airreid("edge", "send", *files, "--to", system.channel_target, "--top-k", 3, "--json")
    assert result.returncode == 0, result.stderr
    answers = json.loads(result.stdout)
    assert [Path(answer["image"]) for answer in answers] == files
    for answer in answers:
        assert len(answer["identities"]) == 3
        assert answer["snr_db"] == 15
        assert answer["link"] == "analog"
        assert answer["error"] is None
    table = airreid("edge", "send", files[0], "--to", system.channel_target)
    assert table.returncode == 0
    assert "ms  no decision  person-" in table.stdout
    assert "not calibrated" in table.stderr


def test_the_decision_reaches_the_camera(system: System, people: Path, tmp_path: Path) -> None:
    """With nobody above the threshold the nearest is still named, and the answer is unknown."""
    policy = tmp_path / "policy.json"
    before = json.loads(airreid("gallery", "policy", "--to", system.ap_target).stdout)
    [file, *_] = sorted((people / "person-0003" / "cam-1").glob("*.png"))
    try:
        for lowest, highest, kind in ((1.0, 1.01, "unknown"), (-1.0, -1.0, "match")):
            point = {"snr_db": 15.0, "threshold": highest, "lower": lowest}
            policy.write_text(json.dumps({"schemes": {"jscc-ae-256": {"points": [point]}}}))
            put = airreid("gallery", "policy", "--match-policy", policy, "--to", system.ap_target)
            assert put.returncode == 0, put.stderr
            sending = ("edge", "send", file, "--to", system.channel_target)
            [answer] = json.loads(airreid(*sending, "--json").stdout)
            assert answer["decision"]["kind"] == kind
            nearest = answer["identities"][0]["subject"]
            assert answer["decision"]["subject"] == (nearest if kind == "match" else None)
            line = airreid(*sending)
            words = f"match {nearest}" if kind == "match" else "unknown"
            assert f" ms  {words}  {nearest} " in line.stdout
            assert "calibrated" not in line.stderr
    finally:
        policy.write_text(json.dumps(before["match_policy"]))
        put = airreid("gallery", "policy", "--match-policy", policy, "--to", system.ap_target)
    assert put.returncode == 0, put.stderr


def test_send_answers_the_good_files_beside_the_bad(
    system: System, people: Path, tmp_path: Path
) -> None:
    good = next(iter(sorted(people.rglob("*.png"))))
    text = tmp_path / "notes.jpg"
    text.write_text("not an image")
    torn = tmp_path / "torn.jpg"
    Image.open(good).save(torn)
    torn.write_bytes(torn.read_bytes()[:900])
    dot = tmp_path / "dot.png"
    Image.new("RGB", (1, 1)).save(dot)
    head = tmp_path / "head.tif"
    Image.open(good).save(head)
    head.write_bytes(head.read_bytes()[:40])
    files = [text, good, torn, dot, head, tmp_path / "none.png"]
    result = airreid("edge", "send", *files, "--to", system.channel_target, "--json")
    assert result.returncode == 1
    assert "Warning" not in result.stderr  # Pillow's own words on the same file
    errors = [answer["error"] for answer in json.loads(result.stdout)]
    assert errors[1] is None
    for error, words in zip(
        [errors[0], *errors[2:]],
        ["not an image", "truncated", "1x1 pixels is too small", "damaged TIFF", "cannot be read"],
        strict=True,
    ):
        assert words in error


def test_gallery_commands(system: System, people: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(people / "person-0000", mine / "visitor")
    result = airreid("gallery", "enroll", mine, "--to", system.ap_target)
    assert result.returncode == 0, result.stderr
    assert "enrolled 6 of 6 files" in result.stdout
    again = airreid("gallery", "enroll", mine, "--replace", "--to", system.ap_target)
    assert again.returncode == 0, again.stderr
    assert "visitor" in airreid("gallery", "list", "--to", system.ap_target).stdout
    gone = airreid("gallery", "delete", "visitor", "--to", system.ap_target)
    assert "deleted visitor and 6 entries" in gone.stdout
    assert "visitor" not in airreid("gallery", "list", "--to", system.ap_target).stdout
    assert "no subject" in fails("gallery", "delete", "visitor", "--to", system.ap_target)


def test_enrolling_refuses_bad_images_one_by_one(
    system: System, people: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(people / "person-0001", mine / "guest")
    (mine / "guest" / "cam-0" / "zz.png").write_text("nonsense")
    line = fails("gallery", "enroll", mine, "--to", system.ap_target, code=1)
    assert "zz.png" in line
    assert "not an image" in line
    airreid("gallery", "delete", "guest", "--to", system.ap_target)


def test_bundle_show_and_verify(tmp_path: Path) -> None:
    assert "jscc-ae-256" in airreid("bundle", "show").stdout
    assert "is whole and runs" in airreid("bundle", "verify").stdout
    assert "no bundle at" in fails("bundle", "verify", tmp_path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("which", ["--grpc", "--http"])
def test_a_port_in_use(tmp_path: Path, which: str) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        other = "--http" if which == "--grpc" else "--grpc"
        line = fails(
            *("ap", "serve", "--data-dir", tmp_path / "d"),
            *(which, f"127.0.0.1:{port}", other, "127.0.0.1:0"),
        )
        assert f"cannot listen on 127.0.0.1:{port}" in line
        assert f"cannot listen on 127.0.0.1:{port}" in fails(
            "channel", "serve", "--listen", f"127.0.0.1:{port}"
        )


def test_a_missing_file_is_noticed_before_the_link(tmp_path: Path) -> None:
    """Nobody is asked for a link that nothing would cross; with a good file beside it, one is."""
    nobody = f"127.0.0.1:{free_port()}"
    missing = tmp_path / "none.png"
    line = fails("edge", "send", missing, "--to", nobody, code=1)
    assert line == f"error: {missing}: cannot be read (No such file or directory)"
    notes = tmp_path / "notes.txt"
    notes.write_text("of people")
    line = fails("edge", "send", notes, "--to", nobody, code=1)
    assert line.startswith(f"error: {notes}: not an image; give a JPEG")
    good = tmp_path / "good.png"
    Image.new("RGB", (32, 64)).save(good)
    result = airreid("edge", "send", missing, good, "--to", nobody)
    assert result.returncode == 3
    first, second = result.stderr.splitlines()
    assert first == f"{missing}: cannot be read (No such file or directory)"
    assert second.startswith(f"error: {nobody}: no answer within")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("127.0.0.1", "address '127.0.0.1': write HOST:PORT"),
        ("127.0.0.1:70000", "address '127.0.0.1:70000': write HOST:PORT"),
        ("http://127.0.0.1:50051/", "not a URL: write HOST:PORT, for example"),
    ],
)
def test_what_is_no_address_is_noticed_before_the_wait(target: str, words: str) -> None:
    assert words in fails("gallery", "list", "--to", target)
    assert words in fails("health", target)
    assert words in fails("channel", "show", "--to", target)


def test_hints_name_options_that_there_are() -> None:
    """A command that finds nobody at its address names its own option for another."""
    nobody = f"127.0.0.1:{free_port()}"
    line = fails("edge", "status", "--to", nobody, code=3)
    assert line.endswith("start the service there, or give another --to")


def test_an_edge_needs_no_port(system: System, tmp_path: Path) -> None:
    """Two cameras of one machine: a second one is told how, and with --listen off both run."""
    (tmp_path / "inbox").mkdir()
    first = ["edge", "serve", "--listen", "127.0.0.1:0", "--to", system.channel_target]
    with Role("first edge", first) as edge:
        taken = f"127.0.0.1:{edge.ready['grpc_port']}"
        line = fails("edge", "serve", "--listen", taken, "--to", system.channel_target)
        assert "another --listen, or --listen off" in line
        folders = ["--watch", str(tmp_path / "inbox"), "--spool", str(tmp_path / "spool")]
        off = ["edge", "serve", "--listen", "off", "--to", system.channel_target, *folders]
        with Role("second edge", off) as second:
            assert second.ready["grpc_port"] is None
    assert "give --watch or --stdin" in fails("edge", "serve", "--listen", "off")


def test_mistakes_get_one_line(tmp_path: Path, people: Path) -> None:
    image = next(iter(people.rglob("*.png")))
    nobody = f"127.0.0.1:{free_port()}"
    assert f"{nobody}: no answer within" in fails("edge", "send", image, "--to", nobody, code=3)
    assert "no scheme 'jscc-ae-9'" in fails("edge", "send", image, "--scheme", "jscc-ae-9")
    assert "no scheme" in fails("simulate", "--scheme", "nope")
    assert "both --gallery and --queries" in fails("simulate", "--gallery", people)
    assert "no such folder" in fails(
        "simulate", "--gallery", tmp_path / "x", "--queries", tmp_path / "y"
    )
    assert "--snr 500" in fails("simulate", "--snr", 500)
    assert "link snr_db" in fails("channel", "serve", "--snr", "1e9")
    assert "write HOST:PORT" in fails("channel", "serve", "--listen", "here")
    assert "no image in this folder" in fails("edge", "send", tmp_path)
    assert "no recipe 'nope'" in fails("train", "run", "nope", "--out", tmp_path)


def test_a_cell_of_simulate_is_the_same_whatever_else_is_asked(
    people: Path, tmp_path: Path
) -> None:
    gallery, queries = tmp_path / "gallery", tmp_path / "queries"
    for person in sorted(people.iterdir()):
        shutil.copytree(person / "cam-0", gallery / person.name / "cam-0")
        shutil.copytree(person / "cam-1", queries / person.name / "cam-1")
    runs = []
    asked = {
        "a": ("--scheme", "jscc-ae-64", "--snr", 20, "--snr", -10),
        "b": ("--scheme", "jscc-fc-256", "--scheme", "jscc-ae-64", "--snr", 3, "--snr", -10),
    }
    for name, seed in (("a", 3), ("b", 3)):
        shown = name == "a"
        (tmp_path / name).mkdir()
        (tmp_path / name / "answers.png").touch()
        result = airreid(
            *("simulate", "--gallery", gallery, "--queries", queries, "--seed", seed),
            *asked[name],
            *("--report", tmp_path / name, "--json", tmp_path / f"{name}.json"),
            "--pictures" if shown else "--no-pictures",
        )
        assert result.returncode == 0, result.stderr
        for kind in ("png", "svg", "pdf"):
            assert (tmp_path / name / f"accuracy.{kind}").stat().st_size > 5000
        rows = result.stdout.splitlines()
        assert all(rows[: 1 + len(asked[name]) // 2])  # no blank lines between schemes
        assert rows[0].split()[4:7] == ["top-1", "95", "%"]
        if shown:
            assert (tmp_path / name / "answers.png").stat().st_size > 5000
        else:
            assert not (tmp_path / name / "answers.png").exists()
        runs.append(json.loads((tmp_path / f"{name}.json").read_text()))
    for row in runs[0]["results"]:
        assert row["link"] == "analog"
        assert row["bandwidth"] == 64
        assert row["queries"] == row["replay_identical"] == 36
        assert row["outage_rate"] == 0
        assert 0 < row["latency_ms_p50"] <= row["latency_ms_p99"]
        assert row["top1_low"] < row["top1"] <= row["top5"]
        assert row["top1"] <= row["top1_high"] <= 1
    same = ("scheme", "snr_db", "first_sequence", "top1", "top1_low", "top1_high", "top5", "map")
    [_, alone] = [[row[key] for key in same] for row in runs[0]["results"]]
    assert alone in [[row[key] for key in same] for row in runs[1]["results"]]
    assert all(row["replay_identical"] == 36 for row in runs[1]["results"])
    starts = {(row["snr_db"], row["first_sequence"]) for row in runs[1]["results"]}
    assert len(starts) == 2  # schemes at one SNR share their blocks' numbers, SNRs do not
    assert runs[0]["settings"]["seed"] == 3
    assert runs[0]["schema"] == "airreid simulate 2"
