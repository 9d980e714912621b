"""``--json`` of the commands beside the tables of docs/json.md; counts and times as REST's."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from accesspoint.gallery.maintenance.reindex import ReindexReport
from airreid import cli
from edge.spool import Spool
from simulation.processes import Role

from ..edge.support import answer, entry
from .conftest import ANY, System

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/json.md"
TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float),
    "true or false": (bool,),
    "list": (list,),
    "object": (dict,),
    "null": (type(None),),
    "missing": (),
}


def schemas() -> dict[str, dict[str, str]]:
    """Fields of every schema of the page, by their path, with their types."""
    tables: dict[str, dict[str, str]] = {}
    fields: dict[str, str] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            fields = tables[line.removeprefix("## ")] = {}
        elif line.startswith("| `"):
            names, kinds = line.split("|")[1:3]
            fields |= dict.fromkeys(re.findall(r"`([^`]+)`", names), kinds.strip())
    return tables


def is_of(value: object, kinds: str) -> bool:
    words = kinds.replace("true or false", "flag").split(" or ")
    allowed = {
        kind for word in words for kind in TYPES["true or false" if word == "flag" else word]
    }
    return type(value) in allowed  # not isinstance: a flag is no number


def at(document: dict[str, Any], path: str) -> Iterator[dict[str, Any]]:
    """The objects that have the field of a path such as ``subjects[].score``."""
    head, dot, rest = path.partition(".")
    if not dot:
        yield document
    elif head.endswith("[]"):
        for row in document.get(head.removesuffix("[]")) or []:
            yield from at(row, rest)
    elif document.get(head) is not None:
        yield from at(document[head], rest)


def check(document: dict[str, Any], open_ended: bool = False) -> None:
    """Compares an object with its schema's table; ``open_ended``: it may have other fields."""
    fields = schemas()[document["schema"]]
    for path, kinds in fields.items():
        name = path.split(".")[-1]
        for row in at(document, path):
            if name not in row:
                assert kinds.endswith(" or missing"), f"{document['schema']}: {path} is not there"
            else:
                assert is_of(row[name], kinds), f"{path}: {row[name]!r} is no {kinds}"
    names = {path.partition(".")[0].removesuffix("[]") for path in fields}
    assert open_ended or set(document) <= names | {"schema"}
    for inner in {path.rpartition(".")[0] for path in fields if "." in path}:
        documented = {
            path.removeprefix(f"{inner}.") for path in fields if path.startswith(f"{inner}.")
        }
        for row in at(document, f"{inner}.x"):
            assert set(row) <= documented, f"{inner}: {set(row) - documented} is not on the page"


def invoke(*arguments: object) -> Result:
    words = [str(word) for word in arguments]
    return CliRunner().invoke(cli.build(words), words)


def documents(out: Path, *arguments: object, code: int = 0) -> list[dict[str, Any]]:
    """The objects that a command prints, checked; its file must hold the same."""
    result = invoke(*arguments, "--json", "--json-out", out)
    assert result.exit_code == code, result.output
    assert out.read_text(encoding="utf-8") == result.stdout
    try:
        printed = json.loads(result.stdout)
    except ValueError:
        printed = [json.loads(line) for line in result.stdout.splitlines()]
    rows: list[dict[str, Any]] = printed if isinstance(printed, list) else [printed]
    assert rows
    for row in rows:
        check(row)
    return rows


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.json"


def rest(system: System, path: str) -> Any:
    url = f"http://127.0.0.1:{system.ap.ready['http_port']}/v1/{path}"
    with urllib.request.urlopen(url) as response:
        return json.load(response)


def same(row: dict[str, Any], other: dict[str, Any]) -> None:
    """Compares a row with REST's: the same values of the same types, floats of the wire closely."""
    for name, value in other.items():
        assert type(row[name]) is type(value), name
        assert row[name] == (pytest.approx(value) if isinstance(value, float) else value)


def test_the_camera_and_the_channel(system: System, people: Path, out: Path) -> None:
    files = sorted((people / "person-0003" / "cam-1").glob("*.png"))[:1]
    [sent] = documents(out, "edge", "send", *files, "--to", system.channel_target)
    assert len(sent["subjects"]) == len(sent["identities"]) == 5
    broken = out.with_name("broken.png")
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    [failed] = documents(out, "edge", "send", broken, "--to", system.channel_target, code=1)
    assert set(failed) == {"schema", "image", "error"}
    address = ("--to", system.channel_target)
    documents(out, "channel", "show", *address)
    documents(out, "channel", "links", *address)
    documents(
        out, "channel", "set", "--link", "none", "--model", "rayleigh", "--snr", "3", *address
    )
    documents(out, "channel", "reset", "--link", "none", *address)


def test_the_log_and_the_state_of_an_edge(system: System, tmp_path: Path, out: Path) -> None:
    spool = Spool(tmp_path / "log", "cam")
    spool.accept([entry("0.png"), entry("1.png")])
    spool.settle([answer(spool, 1)])
    spool.close()
    settled, waiting = documents(out, "edge", "log", "--spool", tmp_path / "log")
    assert settled["settled_at"] >= settled["accepted_at"]
    assert waiting["subjects"] is None
    (tmp_path / "crops").mkdir()
    watched = ["--watch", str(tmp_path / "crops"), "--spool", str(tmp_path / "spool")]
    serving = ["edge", "serve", *watched, "--to", system.channel_target, "--listen", ANY]
    with Role("edge", serving) as camera:
        documents(out, "edge", "status", "--to", f"127.0.0.1:{camera.ready['grpc_port']}")


def test_the_gallery_counts_and_times_as_rest_does(system: System, people: Path, out: Path) -> None:
    to = ("--to", system.ap_target)
    subjects = documents(out, "gallery", "list", *to)
    served = {row["id"]: row for row in rest(system, "subjects?page_size=1000")["subjects"]}
    entries = documents(out, "gallery", "entries", "--subject", subjects[0]["id"], *to)
    query = f"entries?subject={subjects[0]['id']}"
    for row in subjects:
        same(row, served[row["id"]])
    for row, other in zip(entries, rest(system, query)["entries"], strict=True):
        same(row, other)
    [file, *_] = sorted((people / "person-0003" / "cam-1").glob("*.png"))
    [searched] = documents(out, "gallery", "search", file, *to)
    assert searched["subjects"][0]["subject"] == "person-0003"
    documents(out, "gallery", "verify", "person-0003", file, *to)
    documents(out, "gallery", "policy", *to)
    documents(out, "gallery", "backup", *to)
    documents(out, "gallery", "jobs", *to)
    [exported] = documents(out, "gallery", "export", "--name", "all", *to)
    [imported] = documents(out, "gallery", "import", "all", *to)
    assert imported["skipped"] == exported["entries"]
    [scrubbed] = documents(out, "gallery", "scrub", *to)
    assert scrubbed["clean"]
    documents(out, "gallery", "prove-deleted", "1000000000", *to)
    calibrating = ("gallery", "calibrate", *to, "--scheme", "jscc-ae-64", "--dry-run")
    documents(out, *calibrating, "--false-match-rate", "0.3")


def test_a_reindex_reports_as_its_table_says() -> None:
    report = ReindexReport(3, ((7, "no picture"),), ("ann",), 1, False)
    plain_report = json.loads(json.dumps(asdict(report)))
    check({"schema": "airreid gallery reindex 1", **plain_report})


def test_every_schema_of_the_programs_has_a_table() -> None:
    names = set()
    for package in ("airreid", "edge", "channel_sim", "accesspoint", "simulation"):
        for path in (ROOT / package).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            names |= set(re.findall(r'"(airreid [a-z -]+ \d)"', source))
            jobs = re.findall(r'_print\("([a-z-]+)"', source)
            names |= {f"airreid gallery {job} 1" for job in jobs}
    assert {"airreid edge log 1", "airreid gallery prove-deleted 1"} <= names
    assert names <= schemas().keys()


def test_enrolment_tokens_and_bundles(system: System, people: Path, out: Path) -> None:
    folder = out.with_name("again")
    shutil.copytree(people / "person-0003" / "cam-0", folder / "person-0003" / "cam-0")
    [enrolled] = documents(out, "gallery", "enroll", folder, "--to", system.ap_target)
    assert (enrolled["files"], enrolled["enrolled"], enrolled["enrolled_before"]) == (3, 0, 3)
    data = out.with_name("data")
    added = invoke("ap", "token", "add", "--data-dir", data, "--name", "x", "--scope", "read")
    assert added.exit_code == 0, added.output
    documents(out, "ap", "token", "list", "--data-dir", data)
    [shown] = documents(out, "bundle", "show")
    assert shown["manifest"]["name"] == "demo"


def measured(out: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
    """The document of a command whose ``--json`` takes a file, checked; nothing beside it."""
    result = invoke(*arguments, "--json", "-", "--json-out", out)
    assert result.exit_code == code, result.output
    assert out.read_text(encoding="utf-8") == result.stdout
    document: dict[str, Any] = json.loads(result.stdout)
    check(document, open_ended=True)
    return document


def test_data_sets_and_benchmarks(people: Path, out: Path) -> None:
    counted = measured(out, "data", "check", people)
    assert counted["subsets"][0]["identities"] > 0
    link = ("bench", "link", "--bits", 20, "--uses", 64, "--blocks", 50, "--snr", 9)
    assert measured(out, *link, "--out", out.with_name("link"))["rows"]


@pytest.mark.slow
def test_runs_and_points(out: Path) -> None:
    few = ("--scheme", "jscc-ae-64", "--snr", 10)
    report = ("--report", out.with_name("report"), "--no-pictures")
    [row] = measured(out, "simulate", *few, "--identities", 2, *report)["results"]
    assert row["scheme"] == "jscc-ae-64"
    cache = ("--cache", out.with_name("cache"), "--pca-images", 0, "--seeds", 2)
    assert measured(out, "evaluate", "--data", "synthetic", *few, *cache)["points"]
