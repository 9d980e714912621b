"""Study B on made-up people: network and code trained together, and who is tested kept apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from airreid.cli import build
from airreid.evaluation.study.cells import counts_of, read_cell
from training.engine.batches import epoch_rows
from training.engine.distributed import Distributed
from training.engine.progress import Progress, Report, SilentReport
from training.models.codec import Codec
from training.recipes.base import Engine
from training.study.crops import LabelledCrops, StudyCrops, open_crops
from training.study.joint_cells import joint_cells
from training.study.joint_settings import JointRecipe, JointSettings, quick_joint
from training.study.joint_training import JointTraining, new_parts
from training.study.training import StudyContext

from ..airreid.adopt import networks
from ..airreid.adopt.people import dress

SIZE = (96, 64)
BANDWIDTH = 12
SETTINGS = quick_joint(
    JointSettings(bandwidths=(BANDWIDTH,)).model_copy(
        update={
            "recipes": tuple(
                recipe.model_copy(update={"dimensions": 4}) for recipe in JointSettings().recipes
            )
        }
    )
)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build(("study", *arguments)), ["study", *arguments])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyCrops:
    """Images of a study, made by the command; its cells are named and not computed."""
    folder = tmp_path_factory.mktemp("joint")
    data = dress(folder / "people", SIZE, 40, 2)
    network = networks.write(folder / "net.onnx", size=SIZE, convolution="float32")
    given = ("--data", str(data), "--network", str(network), "--preset", "half")
    result = invoke(
        "run", "joint", "--out", str(folder / "study"), *given, "--quick", "--only", "noiseless"
    )
    assert result.exit_code == 0, result.output
    opened = open_crops(folder / "study" / "features")
    assert opened is not None
    return opened


class Stopping(SilentReport):
    """Ends a training after so many steps, as Ctrl-C does."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def network(self, name: str, progress: Progress) -> None:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt


def context(folder: Path, report: Report | None = None) -> StudyContext:
    folder.mkdir(parents=True, exist_ok=True)
    return StudyContext(
        Engine(device="cpu", tensorboard=False, workers=0),
        folder,
        Distributed(torch.device("cpu")),
        report or SilentReport(),
        folder / "networks",
    )


def test_every_recipe_is_trained_and_measured(study: StudyCrops, tmp_path: Path) -> None:
    images, test = study.training(), study.test()
    trained_on = {crop.tobytes() for crop in images.crops}
    tested = [*test.queries.crops, *test.gallery.crops]
    assert not any(crop.tobytes() in trained_on for crop in tested)
    curves = {}
    for spec in joint_cells(SETTINGS, study):
        assert spec.fit is not None
        outcome = spec.fit(images, context(tmp_path))(test)
        assert outcome.curves
        curves[spec.name] = outcome.curves
        for curve in outcome.curves:
            for point in curve.points:
                assert len(point.hits[0]) == len(test.queries.crops)
                if spec.name != "noiseless":
                    assert point.power == pytest.approx(1, abs=1e-5)
                    assert np.isfinite(point.measured_snr_db or np.nan)
        if spec.name.startswith("joint-"):
            assert 0 <= outcome.facts["top1_without_channel"] <= 1
    names = {curve.scheme for measured in curves.values() for curve in measured}
    for recipe in SETTINGS.recipes:
        assert f"joint-{recipe.name}-pca" in names
        assert recipe.kind in ("baseline", "digital") or f"joint-{recipe.name}" in names


def test_training_never_opens_the_people_of_the_test(study: StudyCrops, tmp_path: Path) -> None:
    hidden = study.folder / "test-crops.npz"
    away = hidden.rename(tmp_path / "away.npz")
    try:
        spec = next(s for s in joint_cells(SETTINGS, study) if s.name == "joint-baseline")
        assert spec.fit is not None
        spec.fit(study.training(), context(tmp_path))
        with pytest.raises(Exception, match=r"test-crops\.npz"):
            study.test()
    finally:
        away.rename(hidden)


def test_the_papers_code_begins_with_the_baselines_network(
    study: StudyCrops, tmp_path: Path
) -> None:
    cells = {spec.name: spec for spec in joint_cells(SETTINGS, study)}
    paper = cells[f"joint-ae-paper-{BANDWIDTH}"]
    assert paper.follows == ("joint-baseline",)
    assert paper.fit is not None
    with pytest.raises(Exception, match="delete the cell joint-baseline"):
        paper.fit(study.training(), context(tmp_path))
    assert cells[f"joint-fc-paper-{BANDWIDTH}"].follows == ()


def _steps(recipe: JointRecipe, images: LabelledCrops) -> int:
    """Steps of an epoch."""
    labels = images.labels
    return len(epoch_rows(labels.identity, recipe.batches, 0, 0, cameras=labels.camera))


def test_a_training_that_was_stopped_ends_as_one_unbroken(
    study: StudyCrops, tmp_path: Path
) -> None:
    images = study.training()
    recipe = next(r for r in SETTINGS.recipes if r.name == "ae-retrieval")
    recipe = recipe.model_copy(update={"epochs": 2})
    states = []
    for stops in (False, True):
        folder = tmp_path / str(stops)
        parts = new_parts(recipe, BANDWIDTH, study, images, seed=0)
        before = {key: value.clone() for key, value in parts.state_dict().items()}
        training = JointTraining(recipe, BANDWIDTH, images, context(folder))
        if stops:
            report = Stopping(_steps(recipe, images) + 1)
            with pytest.raises(KeyboardInterrupt):
                replace(training, context=context(folder, report)).run(parts, "code")
            parts = new_parts(recipe, BANDWIDTH, study, images, seed=0)
        training.run(parts, "code")
        states.append(parts.state_dict())
    changed = [key for key, value in states[0].items() if not torch.equal(value, before[key])]
    assert any(key.startswith("network.") for key in changed)
    assert any(key.startswith("code.") for key in changed)
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=0, atol=0)


def test_codes_are_given_features_of_size_one(study: StudyCrops) -> None:
    images = study.training()
    parts = new_parts(SETTINGS.recipes[0], BANDWIDTH, study, images, seed=0)
    features = parts.features(images.crops)
    assert np.square(features).mean() == pytest.approx(1, rel=0.2)
    assert parts.code is None
    with_code = new_parts(SETTINGS.recipes[1], BANDWIDTH, study, images, seed=0)
    assert isinstance(with_code.code, Codec)
    assert with_code.classifier.in_features == BANDWIDTH


def test_cells_are_named_without_images_and_figures_are_drawn(
    study: StudyCrops, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    listed = invoke("run", "joint", "--out", str(out), "--quick", "--list")
    names = listed.output.split()
    assert names[:3] == ["noiseless", "closed", "joint-baseline"]
    assert "joint-ae-paper-256" in names
    assert not out.exists()
    refused = invoke("run", "joint", "--out", str(out), "--quick")
    assert "give --data DIR and --network FILE" in str(refused.exception or refused.output)
    wrong = invoke("run", "frozen", "--out", str(out), "--resize", "128x64")
    assert "--resize" in str(wrong.exception or wrong.output)
    other = invoke(
        "run", "joint", "--out", str(out), "--features", str(study.folder), "--resize", "128x64"
    )
    assert "images of 96x64" in str(other.exception or other.output)
    result = invoke(
        "run", "joint", "--out", str(out), "--features", str(study.folder), "--quick",
        "--only", "noiseless", "--only", "joint-baseline",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    drawn = invoke(
        "figures", str(out), "--out", str(tmp_path / "drawn"), "--features", str(study.folder)
    )
    assert drawn.exit_code == 0, drawn.output
    stored = json.loads((tmp_path / "drawn" / "joint.json").read_text())
    assert stored["study"]["size"] == list(SIZE)
    labels = [curve["scheme"] for panel in stored["panels"] for curve in panel["curves"]]
    assert labels == ["joint-baseline-pca"]
    assert (tmp_path / "drawn" / "joint.svg").read_text().startswith("<?xml")
    cell = read_cell(out / "cells" / "noiseless.json")
    assert len(counts_of(cell.curves[0].points[0].hits[0])) == len(cell.facts["people"])
    assert json.loads((study.folder / "crops.json").read_text())["size"] == list(SIZE)
