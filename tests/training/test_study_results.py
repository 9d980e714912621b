"""A study that goes on with the results of others: what is computed, and what is drawn along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from airreid.cli import build
from airreid.evaluation.study.results import read_results
from training.engine.progress import SilentReport
from training.recipes.base import Engine
from training.study.features import digest_of
from training.study.run import CellSpec, Outcome, StudyRun


class Nothing:
    """Features of nobody."""

    about: dict[str, Any] = {"digests": {"test.npz": "t1"}}  # noqa: RUF012
    digests = about["digests"]

    def training(self) -> None:
        """Nobody to fit on."""

    def test(self) -> None:
        """Nobody to test."""


def spec(name: str, *follows: str) -> CellSpec:
    """Makes a cell that holds nothing; one that follows others needs nothing of them either."""
    settings = {"name": name}
    if follows:
        return CellSpec(name, settings, 1, follow=lambda cells: Outcome(), follows=follows)
    return CellSpec(name, settings, 1, lambda people, on: lambda test: Outcome())


SPECS = [
    spec("noiseless"),
    spec("digital-1"),
    spec("digital-2"),
    spec("coded-64", "digital-1", "digital-2"),
    spec("coded-256", "digital-1", "digital-2"),
]


def run(folder: Path, **elsewhere: str) -> StudyRun:
    engine = Engine(device="cpu", tensorboard=False)
    keys = {name.replace("_", "-"): key for name, key in elsewhere.items()}
    return StudyRun(folder, folder / "work", Nothing(), engine, SilentReport(), keys)


def keys(*but: str) -> dict[str, str]:
    key = run(Path()).key
    return {spec.name.replace("-", "_"): key(spec) for spec in SPECS if spec.name not in but}


@pytest.mark.parametrize(
    ("elsewhere", "unfinished"),
    [
        ({}, ["noiseless", "digital-1", "digital-2", "coded-64", "coded-256"]),
        (keys(), []),
        (keys("noiseless"), ["noiseless"]),
        (keys("coded-64"), ["digital-1", "digital-2", "coded-64"]),
        (keys() | {"noiseless": "of other features"}, ["noiseless"]),
        (keys() | {"coded_64": "of other settings"}, ["digital-1", "digital-2", "coded-64"]),
    ],
)
def test_a_cell_of_others_is_computed_again_only_for_one_that_follows_it(
    tmp_path: Path, elsewhere: dict[str, str], unfinished: list[str]
) -> None:
    going_on = run(tmp_path, **elsewhere)
    assert [spec.name for spec in going_on.unfinished(SPECS)] == unfinished
    for each in going_on.unfinished(SPECS):
        going_on.compute(each)
    assert going_on.unfinished(SPECS) == []
    cells = tmp_path / "cells"
    assert sorted(path.stem for path in cells.glob("*.json")) == sorted(unfinished)
    # computed here, they are finished without the others
    assert going_on.missing([spec for spec in SPECS if spec.name in unfinished]) == []


def stored(folder: Path) -> Path:
    """Writes features of 20 people as a study keeps them, each seen twice by two cameras."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    identity, camera = np.repeat(np.arange(20), 4), np.tile([0, 0, 1, 1], 20)

    def drawn(first: int) -> dict[str, np.ndarray]:
        features = rng.normal(size=(20, 8))[identity] + 0.6 * rng.normal(size=(80, 8))
        return {"features": features.astype(np.float32), "identity": identity + first}

    training, people = drawn(0) | {"camera": camera}, drawn(20)
    test = {}
    for name, plural, rows in (("query", "queries", 0), ("gallery", "gallery", 1)):
        by_camera = camera == rows
        test[plural] = people["features"][by_camera]
        test[f"{name}_identity"], test[f"{name}_camera"] = (
            people["identity"][by_camera],
            camera[by_camera],
        )
    np.savez(folder / "training.npz", **training)
    np.savez(folder / "test.npz", **test)
    digests = {"training.npz": digest_of(training), "test.npz": digest_of(test)}
    (folder / "features.json").write_text(json.dumps({"data_digest": "d", "digests": digests}))
    return folder


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build(("study", *arguments)), ["study", *arguments])


def test_a_study_goes_on_where_another_ended(tmp_path: Path) -> None:
    features = ("--features", str(stored(tmp_path / "features")))
    run_there = ("run", "frozen", "--quick", *features, "--only", "noiseless", "--only", "scatter")
    result = invoke(*run_there, "--out", str(tmp_path / "theirs"))
    assert result.exit_code == 0, result.output
    result = invoke("results", str(tmp_path / "theirs"), "--out", str(tmp_path / "given"))
    assert (result.exit_code, result.stdout[:15]) == (0, "wrote 2 cells, ")
    going_on = ("--out", str(tmp_path / "mine"), "--results", str(tmp_path / "given"))
    listed = invoke(*run_there, "--only", "pq-*", *going_on, "--list")
    assert listed.stdout.split() == ["pq-32", "pq-128"]
    assert "finished in the results of others: noiseless, scatter" in listed.stderr
    assert not (tmp_path / "mine").exists()
    result = invoke(*run_there, *going_on)
    assert (result.exit_code, result.stdout.splitlines()[:-1]) == (0, [])
    result = invoke(*run_there[:5], "--only", "closed-64", "--out", str(tmp_path / "mine"))
    assert result.exit_code == 0, result.output
    computed = read_results(tmp_path / "mine")
    assert list(computed.cells) == ["closed-64"]
    folders = (str(tmp_path / "mine"), str(tmp_path / "given"))
    drawn = invoke("figures", *folders, "--out", str(tmp_path / "drawn"))
    assert drawn.exit_code == 0, drawn.output
    cells = json.loads((tmp_path / "drawn" / "4a.json").read_text())["cells"]
    assert list(cells) == ["closed-64", "noiseless", "scatter"]
    assert "noiseless" in str(invoke("figures", folders[0], "--out", str(tmp_path)).exception)
    assert "no cells" in str(invoke(*run_there, *going_on[:2], "--results", "/nowhere").exception)
