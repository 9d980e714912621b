"""Every kind of step, from pictures to one bundle of several backbones."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from airreid.bundle import load_bundle
from airreid.bundle_cli import check_graphs
from airreid.datasets import open_data
from airreid.datasets.synthetic.population import Population, write_folder
from airreid.errors import InputError
from training.engine.progress import Progress, SilentReport
from training.export.bundle import export_runs
from training.pipeline import run_recipe
from training.recipes.base import Batches, OptimizerConfig, SnrRange, Stage
from training.recipes.recipe import Recipe
from training.recipes.steps import (
    AutoencoderStep,
    BackboneStep,
    DigitalSpec,
    DigitalStep,
    JointScheme,
    JointStep,
)
from training.runs.checkpoints import backbone_path, load_backbone, load_scheme, scheme_path
from training.runs.folder import claim
from training.runs.record import open_run

STAGES = (Stage(height=64, width=32, epochs=1),)
SLOW = OptimizerConfig(lr=1e-3)
PEOPLE = Batches(sampler="identities", identities=4, images=2)
HEAD = DigitalSpec(id="digital-64-r2", dimensions=8, rate_lambda=20.0)
RECIPE = Recipe(
    name="every_step",
    ship="fp32",
    calibration_images=8,
    steps=(
        BackboneStep(backbone="resnet18", stages=STAGES, learning=SLOW, batches=PEOPLE),
        AutoencoderStep(
            schemes=("jscc-ae-16",),
            layers=2,
            snr_db=0.0,
            epochs=2,
            learning=SLOW,
            batches=Batches(sampler="shuffled", size=8),
        ),
        JointStep(
            schemes=(JointScheme(id="jscc-ae-16", snr_db="inf"),),
            init="trained",
            layers=2,
            stages=STAGES,
            learning=SLOW,
            batches=PEOPLE,
        ),
        JointStep(
            name="linear",
            schemes=(
                JointScheme(id="jscc-fc-joint-8", snr_db=SnrRange(low=-10, high=5)),
                JointScheme(id="digital-64", dimensions=8, rate_lambda=20.0),
            ),
            stages=STAGES,
            learning=SLOW.model_copy(update={"head_weight_decay": 5e-3}),
            batches=PEOPLE,
            retrieval_weight=1.0,
        ),
        DigitalStep(
            schemes=(HEAD,), epochs=4, batches=Batches(sampler="identities", identities=8, images=2)
        ),
        JointStep(
            name="onward",
            schemes=(JointScheme(id=HEAD.id, dimensions=8, rate_lambda=20.0),),
            init="trained",
            stages=STAGES,
            learning=SLOW,
            batches=PEOPLE,
        ),
    ),
)


class Seen(SilentReport):
    def __init__(self) -> None:
        self.names: list[str] = []
        self.bits: list[float] = []

    def network(self, name: str, progress: Progress) -> None:
        self.names.append(name)
        assert np.isfinite(progress.loss)
        if "bits" in progress.metrics:
            self.bits.append(progress.metrics["bits"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Seen]:
    data, out, progress = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("run"), Seen()
    write_folder(Population(seed=8, identities=24, cameras=2, shots=1), data)
    bundle = run_recipe(RECIPE, open_data(data), out, progress)
    assert bundle is not None
    return data, out, progress


@pytest.mark.slow
def test_every_scheme_has_the_backbone_that_it_was_trained_with(
    run: tuple[Path, Path, Seen],
) -> None:
    _, out, progress = run
    bundle = load_bundle(out / "bundle")
    check_graphs(bundle)
    assert bundle.scheme_ids == ["jscc-ae-16", "jscc-fc-joint-8", "digital-64", "digital-64-r2"]
    spaces = [info.space_id for info in bundle.manifest.schemes]
    assert len(set(spaces)) == 4
    assert spaces == [info.space_id for info in bundle.manifest.backbones]
    assert {info.feature_dim for info in bundle.manifest.backbones} == {512}
    assert list(dict.fromkeys(progress.names)) == [
        "backbone",
        "jscc-ae-16.autoencoder",
        "jscc-ae-16",
        "jscc-fc-joint-8",
        "digital-64",
        "digital-64-r2.digital",
        "digital-64-r2",
    ]
    assert progress.bits
    assert bundle.scheme("jscc-ae-16").snr_db_train == (100.0, 100.0)  # type: ignore[union-attr]
    page = (bundle.path / "README.md").read_text()
    assert "no noise" in page
    assert "± is half of the 95 % interval over people, each counted as one trial" in page
    rows = re.findall(r"^\| (?:jscc|digital)\S* \| [^|]+ \| (\d+) \| (.*) \| (.*) \|$", page, re.M)
    assert len(rows) >= 2 * 7 + 2
    for count, rate, pca in rows:
        assert int(count) > 0
        assert "±" in rate
        assert "±" in pca
    card = bundle.manifest.provenance.model_dump(mode="json")
    assert {row["scheme"] for row in card["accuracy"]["over_the_air"]} == {
        "jscc-ae-16",
        "jscc-fc-joint-8",
    }
    assert card["backbones"][0]["trained_at"] == [64, 32]


@pytest.mark.slow
def test_joint_training_moves_backbone_and_code(run: tuple[Path, Path, Seen]) -> None:
    _, out, _ = run
    trunk = load_backbone(backbone_path(out, "backbone"))
    moved = load_backbone(backbone_path(out, "jscc-ae-16"))
    first = load_scheme(scheme_path(out, "jscc-ae-16", "autoencoder"))
    last = load_scheme(scheme_path(out, "jscc-ae-16"))
    conv = "trunk.layer4.1.conv2.weight"
    assert 0 < float((trunk.weights[conv] - moved.weights[conv]).abs().max()) < 0.1
    assert first.settings == last.settings
    for name, value in first.weights.items():
        if value.is_floating_point() and "weight" in name:
            assert 0 < float((value - last.weights[name]).abs().max()) < 0.5, name


@pytest.mark.slow
def test_a_joint_step_goes_on_with_a_trained_digital_head(run: tuple[Path, Path, Seen]) -> None:
    _, out, _ = run
    head = load_scheme(scheme_path(out, HEAD.id, "digital"))
    last = load_scheme(scheme_path(out, HEAD.id))
    assert (head.step, last.step) == ("digital", "joint")
    assert head.settings == last.settings
    apart = {name: float((v - last.weights[name]).abs().max()) for name, v in head.weights.items()}
    assert 0 < max(apart.values()) < 0.5, apart


@pytest.mark.slow
def test_nothing_is_trained_or_exported_twice(run: tuple[Path, Path, Seen]) -> None:
    data, out, _ = run
    before = load_bundle(out / "bundle")
    again = Seen()
    bundle = run_recipe(RECIPE, open_data(data), out, again)
    assert bundle is not None
    assert bundle.bundle_id == before.bundle_id
    assert again.names == []


@pytest.mark.slow
def test_a_backbone_of_small_images_is_shipped_with_its_resize(
    run: tuple[Path, Path, Seen],
) -> None:
    from airreid.inference import BackboneRunner
    from training.models.backbone import resize

    _, out, _ = run
    bundle = load_bundle(out / "bundle")
    crops = np.random.default_rng(0).integers(0, 256, (2, 256, 128, 3), dtype=np.uint8)
    with torch.no_grad():
        small = resize(torch.from_numpy(crops), 64, 32)
        expected = load_backbone(backbone_path(out, "jscc-ae-16")).network()(small).numpy()
    shipped = BackboneRunner(bundle, bundle.backbone, 1).features(crops)
    np.testing.assert_allclose(shipped, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.slow
def test_chosen_schemes_of_runs_become_a_bundle(
    run: tuple[Path, Path, Seen], tmp_path: Path
) -> None:
    _, out, _ = run
    bundle = export_runs(
        [out], tmp_path / "fc", ["fp32"], Seen(), ["jscc-fc-joint-8"], "mine", "private"
    )
    assert (bundle.manifest.name, bundle.scheme_ids) == ("mine", ["jscc-fc-joint-8"])
    assert [info.id for info in bundle.manifest.backbones] == ["resnet18-fp32"]
    assert bundle.manifest.provenance.licence == "private"
    accuracy = bundle.manifest.provenance.accuracy
    assert accuracy is not None
    assert {row.scheme for row in accuracy.over_the_air} == {"jscc-fc-joint-8"}
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(InputError, match=r"--scheme jscc-ae-9: no run has it; there are: jscc-ae"):
        export_runs([out], tmp_path / "no", ["fp32"], Seen(), ["jscc-ae-9"])
    with pytest.raises(InputError, match="both have jscc-ae-16"):
        export_runs([out, out], tmp_path / "no", ["fp32"], Seen())
    with pytest.raises(InputError, match="no int8 twin"):
        export_runs([out], tmp_path / "no", ["int8"], Seen(), ["jscc-fc-joint-8"])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="no bundle; give another --out"):
        export_runs([out], tmp_path / "full", ["fp32"], Seen())
    assert not (tmp_path / "no").exists()


def test_the_precision_may_change_until_a_scheme_is_trained_for_it(tmp_path: Path) -> None:
    claim(tmp_path, RECIPE, {})
    other = RECIPE.model_copy(update={"ship": "int8"})
    claim(tmp_path, other, {})
    with pytest.raises(InputError, match="holds a run with other settings"):
        claim(tmp_path, other.model_copy(update={"seed": 1}), {})
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "jscc-ae-16.scheme.pt").touch()
    with pytest.raises(InputError, match="holds a run with other settings"):
        claim(tmp_path, RECIPE, {})


def test_a_folder_without_a_finished_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        open_run(tmp_path)
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(InputError, match="is not finished: give"):
        open_run(tmp_path)
