"""The gallery's benchmark measures what it says, on a small gallery."""

import json
from pathlib import Path

from typer.testing import CliRunner

from benchmarks.cli import app

runner = CliRunner()


def test_figures_of_a_small_gallery(tmp_path: Path) -> None:
    path = tmp_path / "gallery.json"
    result = runner.invoke(
        app,
        ["gallery", "--entries", "600", "--queries", "40", "--index", "sq8", "--json", str(path)],
    )
    assert result.exit_code == 0, result.output
    written = json.loads(path.read_text())
    results = written["results"]
    assert results["recall_at_1"] == 1
    assert sum(rows for _, rows in results["segments"]) == results["entries"] == 600
    assert {kind for kind, _ in results["segments"]} <= {"flat", "sq8"}
    assert results["store_mb"] > 600 * 8192 / 1e6
    assert 0 < results["cpu_p50_ms"] <= results["p99_ms"]
    assert results["p50_ms"] <= results["p99_ms"]
    assert written["settings"]["versions"]["faiss"]
    assert "recall@1 against exact 1.0000" in result.output


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    result = runner.invoke(app, ["gallery", "--entries", "100", "--folder", str(tmp_path)])
    assert result.exit_code != 0
    assert "is not empty" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
