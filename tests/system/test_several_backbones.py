"""One bundle, two small backbones of different sizes: each scheme meets its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from airreid.bundle import Bundle, Manifest, link_bundle, write_manifest
from airreid.datasets.synthetic.population import Population, write_folder
from airreid.errors import BundleError
from edge.encoder import Encoder
from simulation.people import from_folders
from simulation.plan import SimulationPlan, SimulationProgress
from simulation.run import run
from training.export.backbone import backbone_info
from training.export.jscc import export_jscc
from training.export.onnx import export_onnx
from training.models.codec import Codec


class Colours(nn.Module):
    """Mean colours of fields, less their mean: a backbone of a kind."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, crops: Tensor) -> Tensor:
        pixels = crops.permute(0, 3, 1, 2).float() / 64
        fields = nn.functional.avg_pool2d(pixels, self.side).flatten(1)
        return fields - fields.mean(1, keepdim=True)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """96 and 384 values: jscc-fc-8 on the first, jscc-fc-16 on the second."""
    folder = tmp_path_factory.mktemp("two")
    torch.manual_seed(0)
    backbones, schemes = [], []
    for side, dim, bandwidth in ((32, 96, 8), (16, 384, 16)):
        path = folder / f"backbone-{side}.fp32.onnx"
        export_onnx(Colours(side), torch.zeros((2, 256, 128, 3), dtype=torch.uint8), path)
        space = f"space-{side}"
        backbones.append(backbone_info(path, f"colours-{side}", "fp32", space, dim))
        features = np.random.default_rng(0).standard_normal((8, dim)).astype(np.float32)
        codec = Codec("jscc-fc", dim, bandwidth, 0)
        name = f"jscc-fc-{bandwidth}"
        schemes.append(export_jscc(name, codec, folder, features, space, (0, 0)))
    manifest = Manifest(
        name="two", backbones=tuple(backbones), schemes=tuple(schemes), provenance={}
    )
    return write_manifest(folder, manifest)


def test_a_camera_encodes_with_the_schemes_own_backbone(two: Bundle) -> None:
    from PIL import Image

    encoder = Encoder(two, 1)
    image = Image.new("RGB", (64, 128), (200, 10, 90))
    assert encoder.features([image]).shape == (1, 96)
    assert encoder.features([image], "jscc-fc-8").shape == (1, 96)
    assert encoder.features([image], "jscc-fc-16").shape == (1, 384)


def test_a_part_is_a_bundle_of_its_own(two: Bundle, tmp_path: Path) -> None:
    assert two.spaces == ["space-32", "space-16"]
    part = link_bundle(two.of_space("space-16"), tmp_path / "part")
    assert part.scheme_ids == ["jscc-fc-16"]
    assert part.backbone.feature_dim == 384
    assert part.bundle_id != two.bundle_id
    with pytest.raises(BundleError, match="no backbone of space nowhere"):
        two.of_space("nowhere")


def test_every_scheme_is_simulated_with_its_own_gallery(two: Bundle, tmp_path: Path) -> None:
    write_folder(Population(seed=5, identities=4, cameras=2, shots=1), tmp_path)
    for camera, part in (("cam-0", "gallery"), ("cam-1", "queries")):
        for person in sorted(tmp_path.glob("person-*")):
            target = tmp_path / part / person.name / camera
            target.parent.mkdir(parents=True)
            (person / camera).rename(target)
    people = from_folders(tmp_path / "gallery", tmp_path / "queries", lambda *_: lambda: None)
    plan = SimulationPlan(
        ("jscc-fc-8", "jscc-fc-16"), (), (0.0, 100.0), seed=0, window=4, threads=1
    )
    outcome = run(two, people, plan, SimulationProgress())
    assert [(p.scheme, p.snr_db) for p in outcome.points] == [
        ("jscc-fc-8", 0.0),
        ("jscc-fc-8", 100.0),
        ("jscc-fc-16", 0.0),
        ("jscc-fc-16", 100.0),
    ]
    assert all(p.replay_identical == p.queries == 4 for p in outcome.points)
