"""The joint step beside a plain loop: both take as many turns, and the row says what it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app


@pytest.mark.slow
def test_both_loops_take_their_turns(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    arguments = ["--height", "64", "--width", "32", "--rounds", "2", "--threads", "1"]
    result = CliRunner().invoke(app, ["site", *arguments, "--json", str(path)])
    assert result.exit_code == 0, result.output
    [row] = json.loads(path.read_text())["rows"]
    assert row["name"] == "joint step of recipe site, ResNet-18, 64x32, batch 64"
    assert (row["limit"], row["repetitions"]) == (0.95, 2)
    assert row["ours"] > 0
    assert row["peer"] > 0
    assert row["ratio"] > 0
