"""More schemes for a bundle that there is, stopped on the way and continued."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from airreid.bundle import Bundle, Manifest, load_bundle, write_manifest
from airreid.bundle_cli import check_graphs
from airreid.disk import file_sha256
from airreid.errors import InputError
from airreid.model_card import ModelCard
from airreid.scheme_info import DigitalInfo
from airreid.scheme_kinds import open_scheme
from training.cli import app
from training.engine.progress import Progress, SilentReport
from training.export.backbone import backbone_info
from training.export.jscc import export_jscc
from training.export.onnx import export_onnx
from training.extend import extend_bundle
from training.models.codec import Codec
from training.recipes.load import load_recipe, with_settings
from training.recipes.recipe import Recipe
from training.runs import atomic_file
from training.runs.checkpoints import load_scheme, scheme_path

from ..made_bundles import made_bundle

SETTINGS = [
    *("epochs=1", 'codec.schemes=["jscc-fc-8", "jscc-fc-4"]'),
    *("codec.batches.identities=4", "codec.batches.images=2"),
    'digital.schemes=[{"id": "digital-64-r1", "dimensions": 6, "rate_lambda": 50}]',
    *("digital.batches.identities=4", "digital.batches.images=2"),
    "digital.payload_sizes=1",
    "closed_form.schemes=[]",
    'synthetic.codec={"seed": 12, "identities": 8, "cameras": 2, "shots": 2}',
    'synthetic.validation={"seed": 13, "identities": 4, "cameras": 2, "shots": 1}',
]


ROW = {
    "scheme": "jscc-fc-8",
    "snr_db": 0.0,
    "top1": 0.5,
    "top1_half_width": 0.1,
    "map": 0.5,
    "pca_top1": 0.4,
    "pca_half_width": None,
}
"""Row of the card of the bundle that is extended."""


class Colours(nn.Module):
    """A backbone of a kind: mean colours of 8 x 4 fields."""

    def forward(self, crops: Tensor) -> Tensor:
        pixels = crops.permute(0, 3, 1, 2).float() / 64
        return nn.functional.avg_pool2d(pixels, 32).flatten(1)


class Silent(SilentReport):
    def __init__(self) -> None:
        self.trained: list[str] = []

    def network(self, name: str, progress: Progress) -> None:
        if name not in self.trained:  # no backbone: it stays as it is
            self.trained.append(name)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with jscc-fc-8 and a card of its own."""
    folder = tmp_path_factory.mktemp("source")
    path = folder / "backbone.fp32.onnx"
    export_onnx(Colours(), torch.zeros((2, 256, 128, 3), dtype=torch.uint8), path)
    features = np.random.default_rng(0).standard_normal((8, 96)).astype(np.float32)
    torch.manual_seed(0)
    info = export_jscc("jscc-fc-8", Codec("jscc-fc", 96, 8, 0), folder, features, "c", (0, 10))
    provenance = {"licence": "x", "accuracy": {"protocol": "p", "over_the_air": [ROW]}}
    backbone = backbone_info(path, "resnet50-fp32", "fp32", "c", 96)
    manifest = Manifest(
        name="colours",
        backbones=(backbone,),
        schemes=(info,),
        provenance=ModelCard.model_validate(provenance),
    )
    write_manifest(folder, manifest)
    (folder / "README.md").write_text("no file of the bundle")
    return folder


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("demo", SETTINGS)


@pytest.fixture(scope="module")
def extended(
    source: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Bundle, Silent]:
    out, report = tmp_path_factory.mktemp("out") / "run", Silent()
    return out, extend_bundle(source, recipe, None, out, report), report


def test_the_old_stays_and_the_new_is_added(
    source: Path, extended: tuple[Path, Bundle, Silent]
) -> None:
    _, bundle, report = extended
    before = load_bundle(source)
    assert bundle.scheme_ids == ["jscc-fc-8", "jscc-fc-4", "digital-64-r1"]
    assert report.trained == ["jscc-fc-4", "digital-64-r1"]
    assert bundle.manifest.backbones == before.manifest.backbones
    assert bundle.manifest.schemes[:1] == before.manifest.schemes
    assert {info.space_id for info in bundle.manifest.schemes} == {"c"}
    page = (bundle.path / "README.md").read_text()
    assert "no file of the bundle" not in page
    assert f"added to bundle {before.bundle_id}: jscc-fc-4, digital-64-r1" in page
    assert bundle.rate_lambda(bundle.scheme("digital-64-r1")) == 50.0  # type: ignore[arg-type]
    check_graphs(bundle)
    features = np.random.default_rng(1).standard_normal((3, 96)).astype(np.float32) + 2
    for info in bundle.manifest.schemes:
        if isinstance(info, DigitalInfo):
            scheme = open_scheme(bundle, info, 1)
            received = scheme.unpack(scheme.pack(features, "coded"), [40.0] * 3)
            assert not received.lost.any()


@pytest.mark.parametrize("size", [(256, 128), (224, 224)])
def test_a_bare_backbone_of_any_size_gets_its_first_schemes(
    recipe: Recipe, size: tuple[int, int], tmp_path: Path
) -> None:
    bare = made_bundle(tmp_path / "bare", [size], schemes=False)
    bundle = extend_bundle(bare.path, recipe, None, tmp_path / "out", Silent())
    assert bundle.scheme_ids == ["jscc-fc-8", "jscc-fc-4", "digital-64-r1"]
    assert bundle.manifest.backbones == bare.manifest.backbones
    check_graphs(bundle)
    (added,) = bundle.manifest.provenance.extended
    assert added.from_bundle == bare.bundle_id
    accuracy = bundle.manifest.provenance.accuracy
    assert accuracy is not None
    assert {row.scheme for row in accuracy.over_the_air} == {"jscc-fc-8", "jscc-fc-4"}


def test_provenance_is_kept_and_says_what_was_added(
    source: Path, extended: tuple[Path, Bundle, Silent]
) -> None:
    provenance = extended[1].manifest.provenance.model_dump(mode="json")
    assert provenance["licence"] == "x"
    (added,) = provenance["extended"]
    assert added["from_bundle"] == load_bundle(source).bundle_id
    assert added["schemes"] == ["jscc-fc-4", "digital-64-r1"]
    assert added["recipe"]["steps"][1]["schemes"][0]["id"] == "digital-64-r1"
    assert "digest" in added["codec_data"]
    assert "torch" in added["versions"]
    card = provenance["accuracy"]
    assert card["protocol"] == "p"
    assert card["over_the_air"][0] == ROW
    assert {row["scheme"] for row in card["over_the_air"][1:]} == {"jscc-fc-4"}
    assert [row["scheme"] for row in card["digital"]] == ["digital-64-r1"]


def test_a_trained_scheme_with_wrong_values_is_refused_not_guessed(
    extended: tuple[Path, Bundle, Silent], tmp_path: Path
) -> None:
    saved = load_scheme(scheme_path(extended[0], "digital-64-r1"))
    assert (saved.crc_bits, saved.rate_lambda) == (11, 50.0)
    path = tmp_path / "digital-64-r1.scheme.pt"
    for change, field in (
        ({"crc_bits": 12}, "crc_bits"),
        ({"snr_db_train": [0.0]}, "snr_db_train"),
        ({"payload_sizes": "many"}, "payload_sizes"),
    ):
        atomic_file.save(path, {**asdict(saved), **change})
        with pytest.raises(InputError, match=rf"not a trained scheme \({field}"):
            load_scheme(path)


def test_a_run_goes_on_and_trains_nothing_twice(
    source: Path, recipe: Recipe, extended: tuple[Path, Bundle, Silent]
) -> None:
    out, bundle, _ = extended
    report = Silent()
    again = extend_bundle(source, recipe, None, out, report)
    assert report.trained == []
    assert again.manifest.backbones == bundle.manifest.backbones
    assert [info.id for info in again.manifest.schemes] == bundle.scheme_ids


def test_a_folder_of_anything_else_is_refused(
    source: Path, recipe: Recipe, extended: tuple[Path, Bundle, Silent], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    before = file_sha256(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="not empty"):
        extend_bundle(source, recipe, None, tmp_path, Silent())
    assert file_sha256(tmp_path / "notes.txt") == before
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    out, bundle, _ = extended
    other = recipe.model_copy(update={"seed": 5})
    with pytest.raises(InputError, match="holds a run with other settings"):
        extend_bundle(source, other, None, out, Silent())
    with pytest.raises(InputError, match="has every scheme of recipe demo already"):
        extend_bundle(bundle.path, recipe, None, tmp_path / "new", Silent())
    assert not (tmp_path / "new").exists()
    longer = with_settings(recipe, ['codec.schemes=["jscc-fc-2"]'])
    with pytest.raises(InputError, match="holds a run with other bundle to extend"):
        extend_bundle(bundle.path, longer, None, out, Silent())


def test_the_command(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[object] = []

    def stub(*arguments: object) -> Bundle:
        passed.extend(arguments)
        return load_bundle(source)

    monkeypatch.setattr("training.extend.extend_bundle", stub)
    arguments = ["extend", str(source), "--out", str(tmp_path / "new")]
    result = CliRunner().invoke(app, [*arguments, "--set", "seed=3", "--cache", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert passed[0] == source
    assert isinstance(passed[1], Recipe)
    assert passed[1].seed == 3
    assert passed[2:4] == [None, tmp_path / "new"]
    assert passed[5] == tmp_path
    assert "jscc-fc-8" in result.output
