"""A tiny bundle that sees colours, and a folder of people who wear them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from airreid.bundle import Bundle, Manifest, write_manifest
from airreid.codecs.pca import fit_pca
from airreid.model_card import ModelCard
from airreid.scheme_info import JsccInfo
from training.export.backbone import backbone_info
from training.export.digital import export_digital
from training.export.jscc import export_jscc
from training.export.onnx import export_onnx
from training.models.codec import Codec
from training.models.digital import DigitalCodec
from training.steps.linear_codec import parse_scheme

DIM = 96
"""Numbers of a feature: mean colours of 8 x 4 fields."""


class Colours(nn.Module):
    def forward(self, crops: Tensor) -> Tensor:
        pixels = crops.permute(0, 3, 1, 2).float() / 64 - 2
        return nn.functional.avg_pool2d(pixels, 32).flatten(1)


PROVENANCE = {"data": "x", "recipe": {"steps": [{"schemes": [{"id": "digital-64", "trade": 40}]}]}}


@pytest.fixture(scope="session")
def dressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 people, 2 cameras, 2 shots: each in colours of 4 fields, seen through noise."""
    root = tmp_path_factory.mktemp("dressed") / "people"
    rng = np.random.default_rng(0)
    for person in range(16):
        clothes = rng.integers(0, 256, (8, 4, 3))
        for camera in range(2):
            folder = root / f"p{person:02d}" / f"c{camera}"
            folder.mkdir(parents=True)
            for shot in range(2):
                colours = clothes + rng.normal(0, 130, clothes.shape) + 20 * camera
                small = Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
                small.resize((32, 64), Image.Resampling.NEAREST).save(folder / f"{shot}.png")
    return root


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """jscc-ae-16, jscc-fc-16 and jscc-fc-32 of random weights, and digital-16 from PCA."""
    folder = tmp_path_factory.mktemp("tiny")
    path = folder / "backbone.fp32.onnx"
    export_onnx(Colours(), torch.zeros((2, 256, 128, 3), dtype=torch.uint8), path)
    features = np.random.default_rng(1).standard_normal((200, DIM)).astype(np.float32)
    torch.manual_seed(0)
    sample = features[:16]

    def head(scheme_id: str, snr_db_train: tuple[float, float]) -> JsccInfo:
        kind, bandwidth = parse_scheme(scheme_id)
        return export_jscc(
            scheme_id, Codec(kind, DIM, bandwidth, 0), folder, sample, "c", snr_db_train
        )

    infos = [
        head("jscc-ae-16", (0, 0)),
        head("jscc-fc-16", (-9, 9)),
        head("jscc-fc-32", (5, 5)),
    ]
    pca = fit_pca(features, 8)
    model = DigitalCodec(DIM, 8, torch.full((8,), 2.0))
    start = torch.from_numpy(pca.mean), torch.from_numpy(pca.components)
    model.head.init_from_pca(*start, 1.0)
    model.eval()
    digital = export_digital("digital-64", model, folder, features, "c")
    manifest = Manifest(
        name="tiny",
        backbones=(backbone_info(path, "resnet50-fp32", "fp32", "c", DIM),),
        schemes=(*infos, digital),
        provenance=ModelCard.model_validate(PROVENANCE),
    )
    return write_manifest(folder, manifest)
