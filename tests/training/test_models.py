"""Backbones by name: their sizes, options and weights, and their int8 twins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from airreid.errors import InputError, ParityError
from training.export.backbone import prove_int8
from training.models.backbone import KINDS, Backbone, Sized, resize
from training.models.codec import MLP, Codec
from training.models.weights import load_weights
from training.recipes.base import TORCHVISION, BackboneName

NAMES = TORCHVISION


@pytest.mark.parametrize(
    ("name", "dim", "cells"),
    [("resnet50", 2048, 4 * 2), ("resnet18", 512, 4 * 2), ("mobilenet_v3_large", 960, 4 * 2)],
)
def test_features_and_the_last_stride(name: BackboneName, dim: int, cells: int) -> None:
    """At 128 x 64 and a total stride of 32 the last map has 4 x 2 cells; of 16, 8 x 4."""
    assert KINDS[name].dim == dim
    for stride, expected in ((2, cells), (1, 4 * cells)):
        network = Backbone(False, name, stride).eval()
        maps: list[int] = []
        network.trunk.avgpool.register_forward_hook(
            lambda _, inputs, __, maps=maps: maps.append(inputs[0].shape[-2:].numel())
        )
        with torch.no_grad():
            feature = network(torch.zeros((1, 128, 64, 3), dtype=torch.uint8))
        assert feature.shape == (1, dim)
        assert maps == [expected]


def test_the_papers_backbone_is_torchvisions() -> None:
    """Against torchvision's own network and normalisation, written down again."""
    torch.manual_seed(0)
    ours = Backbone(bn_neck=False).eval()
    theirs = torchvision.models.resnet50(weights=None)
    theirs.load_state_dict(
        {**ours.trunk.state_dict(), "fc.weight": theirs.fc.weight, "fc.bias": theirs.fc.bias}
    )
    theirs.fc = torch.nn.Identity()
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 32, 3), dtype=np.uint8)
    x = torch.from_numpy(crops).permute(0, 3, 1, 2) / 255
    x = torchvision.transforms.functional.normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = theirs.eval()(x)
        feature = ours(torch.from_numpy(crops))
    torch.testing.assert_close(feature, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_another_network_are_refused(name: BackboneName, tmp_path: Path) -> None:
    other = "resnet18" if name == "resnet50" else "resnet50"
    path = tmp_path / "other.pth"
    torch.save(getattr(torchvision.models, other)(weights=None).state_dict(), path)
    with pytest.raises(InputError, match=f"not a {name} of torchvision"):
        load_weights(Backbone(False, name), str(path))
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="not a PyTorch state_dict"):
        load_weights(Backbone(False, name), str(path))
    network = path.rename(tmp_path / "other.onnx")
    with pytest.raises(
        InputError, match=f"state_dict of {name}, or use .*'airreid adopt {network}"
    ):
        load_weights(Backbone(False, name), str(network))


@pytest.mark.parametrize(
    ("shell", "prefix", "extra"),
    [
        ("state_dict", "module.", "classifier.weight"),  # torchreid
        ("model", "backbone.", "heads.bnneck.weight"),  # fast-reid
        ("state_dict", "module.encoder_q.", "module.encoder_k.conv1.weight"),  # MoCo, LUPerson
        ("", "", "fc.weight"),
    ],
)
def test_weights_are_found_in_the_shells_of_others(
    shell: str, prefix: str, extra: str, tmp_path: Path
) -> None:
    source = Backbone(False, "resnet18").trunk.state_dict()
    saved: dict[str, object] = {f"{prefix}{name}": value for name, value in source.items()}
    saved[extra] = torch.ones(3, 4)
    path = tmp_path / "theirs.pth"
    torch.save({shell: saved, "epoch": torch.tensor(7)} if shell else saved, path)
    backbone = Backbone(False, "resnet18")
    words = load_weights(backbone, str(path))
    assert "100 of 100 weights matched" in words
    assert extra in words, "what is not used is named"
    for name, value in backbone.trunk.state_dict().items():
        torch.testing.assert_close(value, source[name])


def test_a_mismatch_is_never_silent(tmp_path: Path) -> None:
    source = dict(Backbone(False, "resnet18").trunk.state_dict())
    del source["layer1.0.conv1.weight"]
    source["layer2.0.conv1.weight"] = torch.zeros(2, 2)
    path = tmp_path / "theirs.pth"
    torch.save(source, path)
    with pytest.raises(
        InputError,
        match=r"98 of 100 weights matched; missing: layer1\.0\.conv1\.weight; of another shape: "
        r"layer2\.0\.conv1\.weight \(2, 2\) for \(128, 64, 3, 3\)",
    ):
        load_weights(Backbone(False, "resnet18"), str(path))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.full((64,), torch.nan), "bn1.bias with NaN or infinity"),
        (torch.ones(64, dtype=torch.int8), "bn1.bias of int8"),
        (torch.ones(64, dtype=torch.complex64), "bn1.bias of complex64"),
    ],
)
def test_weights_of_no_use_are_refused(value: torch.Tensor, words: str, tmp_path: Path) -> None:
    source = {**Backbone(False, "resnet18").trunk.state_dict(), "bn1.bias": value}
    path = tmp_path / "theirs.pth"
    torch.save(source, path)
    with pytest.raises(InputError, match=f"99 of 100 weights matched; of no use: {words}"):
        load_weights(Backbone(False, "resnet18"), str(path))


def test_small_images_are_resized_before_the_network() -> None:
    crops = torch.randint(0, 256, (2, 256, 128, 3), dtype=torch.uint8)
    network = Backbone(False, "resnet18").eval()
    with torch.no_grad():
        whole = Sized(network, 64, 32)(crops)
        apart = network(resize(crops, 64, 32))
    assert torch.equal(whole, apart)
    assert torch.equal(resize(crops, 256, 128), crops.float())


def test_the_papers_stages_narrow_at_once_and_widen_at_last() -> None:
    codec = Codec("jscc-ae", 96, 16, 0, layers=3)
    encoder, decoder = codec.encoder.map, codec.decoder
    assert isinstance(encoder, MLP)
    assert isinstance(decoder, MLP)

    def shapes(stages: MLP) -> list[tuple[int, int]]:
        linear = [layer for layer in stages.layers if isinstance(layer, torch.nn.Linear)]
        return [(layer.in_features, layer.out_features) for layer in linear]

    assert shapes(encoder) == [(96, 16), (16, 16), (16, 16)]
    assert shapes(decoder) == [(16, 16), (16, 16), (16, 96)]
    kinds = [type(layer).__name__ for layer in encoder.layers]
    assert kinds == ["Linear", "BatchNorm1d", "LeakyReLU"] * 2 + ["Linear"]
    x = codec.encoder(torch.randn(5, 96))
    torch.testing.assert_close(x.square().mean(1), torch.ones(5))
    assert codec.decode(x).shape == (5, 96)
    with pytest.raises(TypeError, match="no linear path"):
        codec.init_encoder_from_pca(torch.zeros(96), torch.zeros(16, 96))


def test_an_int8_graph_that_drifts_fails(tmp_path: Path) -> None:
    from training.export.onnx import export_onnx

    class Fields(torch.nn.Module):
        def __init__(self, noise: float) -> None:
            super().__init__()
            generator = torch.Generator().manual_seed(0)
            self.register_buffer("pattern", noise * torch.randn(96, 96, generator=generator))

        def forward(self, crops: torch.Tensor) -> torch.Tensor:
            pixels = crops.permute(0, 3, 1, 2).float() / 64
            x = torch.nn.functional.avg_pool2d(pixels, 32).flatten(1)
            return x + x @ self.pattern  # type: ignore[operator]

    crops = np.random.default_rng(0).integers(0, 256, (8, 256, 128, 3), dtype=np.uint8)
    example = torch.from_numpy(crops[:2])
    for name, noise in (("exact", 0.0), ("close", 1e-4), ("far", 3.0)):
        export_onnx(Fields(noise), example, tmp_path / f"{name}.onnx")
    exact = tmp_path / "exact.onnx"
    assert prove_int8(exact, exact, crops) == pytest.approx(1.0, abs=1e-6)
    assert 0.9 < prove_int8(exact, tmp_path / "close.onnx", crops) < 1.0
    with pytest.raises(ParityError, match=r"far\.onnx: features have a cosine of .* ship=fp32"):
        prove_int8(exact, tmp_path / "far.onnx", crops)
