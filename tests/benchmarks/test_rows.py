"""Rows, the page made of them, and what counts as a regression."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airreid.errors import InputError
from benchmarks import report, rows, suite
from benchmarks.rows import BenchmarkReport, Row, in_turns, row


def test_a_limit_is_of_the_ratio_or_of_our_own_figure() -> None:
    fast = row("encode", "images/s", 120.0, 20.0, "plain", limit=5.5)
    assert fast.ratio == 6.0
    assert fast.met
    slow = row("start", "s", 2.0, 8.0, "plain", limit=1.5, limit_of="ours", better="less")
    assert slow.ratio == 0.25
    assert slow.met is False
    assert row("no limit", "s", 1.0).met is None
    assert row("a peer without a figure", "s", 1.0, limit=2.0).met is None


def test_calls_take_turns_and_the_first_of_each_turn_does_not_count() -> None:
    called: list[str] = []
    turns = in_turns({name: lambda n=name: called.append(n) for name in "ab"}, rounds=2, each=2)
    assert "".join(called) == "aaabbb" * 2
    assert turns.count("a") == turns.count("b") == 4
    assert turns.seconds("a") >= 0


def test_a_report_comes_back_as_it_was_written(tmp_path: Path) -> None:
    measured = rows.report("by hand", [row("x", "s", 3.0, 2.0, "y", spread=1.25)])
    rows.write(tmp_path / "r.json", measured)
    assert rows.read(tmp_path / "r.json") == measured
    written = json.loads((tmp_path / "r.json").read_text())
    assert {"processor", "cores", "versions", "method"} <= set(written["machine"])
    needed = {"name", "unit", "ours", "peer", "peer_name", "ratio", "limit"}
    assert needed <= set(written["rows"][0])


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"machine": {}, "rows": [{"name": "x"}]}')
    with pytest.raises(InputError, match=r"bad\.json: rows\.0\.unit"):
        rows.read(bad)
    with pytest.raises(InputError, match="run make bench"):
        rows.read(tmp_path / "none.json")


def test_the_page_shows_every_row_and_whether_it_is_kept(tmp_path: Path) -> None:
    measured = [row("a", "s", 2.0, 1.0, "b", limit=1.5, better="less"), row("c", "q/s", 1234.0)]
    about = rows.machine("by hand")
    whole = BenchmarkReport(
        machine=about, rows=measured, parts={"edge": [0, 1]}, missing={"path": "broke"}
    )
    suite.save(tmp_path, whole, {"edge": measured})
    page = (tmp_path / "RESULTS.md").read_text()
    assert "| a | s | 2 | 1 | b | 2× | ≤ 1.5× | **no** |" in page
    assert "| c | q/s | 1234 |" in page
    assert "`airreid bench path`: broke" in page
    assert rows.read(tmp_path / "results.json").rows == measured
    assert len({len(line.split("|")) for line in report.table(measured)}) == 1


def test_rows_of_other_benchmarks_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of one benchmark, a real one in its own process, beside kept rows of another."""
    monkeypatch.setattr(suite, "QUIET_SECONDS", 0.0)
    few = suite.Part("Coders", (("--bits", "8", "--uses", "64", "--snr", "9", "--blocks", "20"),))
    runs = ((*few.runs[0], "--out", "{out}"),)
    monkeypatch.setitem(suite.PARTS, "link", few._replace(runs=runs))
    old = [row("kept", "s", 1.0)]
    before = BenchmarkReport(machine={}, rows=old, parts={"edge": [0]}, seconds={"edge": 5.0})
    rows.write(tmp_path / "results.json", before)
    lines: list[str] = []
    merged, parts = suite.run_all(["link"], lines.append, tmp_path / "results.json")
    assert parts["edge"] == old
    assert merged.seconds["edge"] == 5.0
    assert [merged.rows[i] for i in merged.parts["link"]] == parts["link"]
    assert any("decode" in entry.name for entry in parts["link"])
    assert not merged.missing


def test_a_benchmark_that_fails_says_why() -> None:
    with pytest.raises(suite.BenchmarkError, match="use 11 or 24"):
        suite.run_part("link", ["--bits", "8", "--uses", "64", "--crc", "9"])


@pytest.mark.parametrize(
    ("better", "now", "fell"),
    [("more", 3.8, True), ("more", 4.2, False), ("less", 6.3, False), ("less", 6.9, True)],
)
def test_a_ratio_falls_by_more_than_its_tolerance(better: str, now: float, fell: bool) -> None:
    def ratio_row(ours: float) -> Row:
        return row("x", "u", ours, 1.0, "y", better=better, tolerance=0.25)

    baseline = [ratio_row(5.3 if better == "more" else 5.0), row("alone", "u", 1.0)]
    [comparison] = suite.compare(
        [ratio_row(now), row("alone", "u", 0.1), row("new", "u", 1.0, 2.0)], baseline
    )
    assert (comparison.now, comparison.fell) == (now, fell)
    assert suite.better_of(ratio_row(2.0), ratio_row(3.0)).ratio == (
        3.0 if better == "more" else 2.0
    )
