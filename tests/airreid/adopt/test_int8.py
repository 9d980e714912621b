"""A network in int8: kept where it is faster and as accurate, else the reason is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from airreid.adopt import int8
from airreid.bundle import load_bundle
from airreid.cli import build
from airreid.inference import BackboneRunner
from airreid.quantisation.saturation import saturation

from . import networks
from .people import dress

SIZE = (96, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dress(tmp_path_factory.mktemp("dressed"), SIZE, 50, 2)


def adopted(tmp_path: Path, network: Path, folder: Path, *options: str) -> str:
    """Output of ``airreid adopt``, with the bundle in ``out``."""
    arguments = ["adopt", str(network), "--images", str(folder), "--out", str(tmp_path / "out")]
    arguments += ["--cache", str(tmp_path / "cache"), "--preset", "half", "--seeds", "1"]
    arguments += ["--scheme", "jscc-fc-8", *options]
    result = CliRunner().invoke(build(arguments), arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


@pytest.mark.parametrize("opset", [11, 13])
def test_int8_that_is_faster_and_as_accurate_comes_first(
    tmp_path: Path, folder: Path, opset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any speed is fast enough here, so that the result does not hang on the processor."""
    monkeypatch.setattr(int8, "LEAST_GAIN", 0.0)
    network = networks.write(tmp_path / "n.onnx", size=SIZE, convolution="float32", opset=opset)
    output = adopted(tmp_path, network, folder)
    bundle = load_bundle(tmp_path / "out")
    assert [info.precision for info in bundle.manifest.backbones] == ["int8", "fp32"]
    assert len(bundle.spaces) == 1
    card = bundle.manifest.provenance.adopted
    assert card is not None
    assert card.int8 is not None
    assert card.int8.startswith("kept: ")
    assert "points on held-out people" in card.int8
    assert f"int8     {card.int8}" in output
    small, exact = (
        BackboneRunner(bundle, info, 1).features(networks.crops(8, SIZE))
        for info in bundle.manifest.backbones
    )
    assert 0 < np.abs(small - exact).mean() < 0.05 * np.abs(exact).mean()
    assert saturation(bundle.file(bundle.backbone.file)) is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LEAST_GAIN", 1e9, "times as fast as fp32 here, for one crop"),
        ("MOST_LOSS", -1.1, "points on held-out people, without a channel, more than"),
    ],
)
def test_int8_that_is_not_worth_it_is_left_out(
    tmp_path: Path,
    folder: Path,
    name: str,
    value: float,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(int8, "LEAST_GAIN", 0.0)
    monkeypatch.setattr(int8, name, value)
    network = networks.write(tmp_path / "n.onnx", size=SIZE, convolution="float32")
    output = adopted(tmp_path, network, folder)
    assert "int8     not kept: " in output
    assert words in output
    bundle = load_bundle(tmp_path / "out")
    assert [info.precision for info in bundle.manifest.backbones] == ["fp32"]
    assert not list((tmp_path / "out").glob("*int8*")), "the graph that is not kept stays"


def test_what_cannot_be_quantised_is_said(tmp_path: Path, folder: Path) -> None:
    network = networks.write(tmp_path / "n.onnx", size=SIZE, convolution="float16")
    output = adopted(tmp_path, network, folder)
    assert "int8     not made: this network cannot be quantised (" in output
    assert "Traceback" not in output
    assert load_bundle(tmp_path / "out").backbone.precision == "fp32"


def test_int8_is_not_tried_where_nobody_wants_it(tmp_path: Path, folder: Path) -> None:
    network = networks.write(tmp_path / "n.onnx", size=SIZE, convolution="float32")
    output = adopted(tmp_path, network, folder, "--no-int8")
    assert "int8     " not in output
    card = load_bundle(tmp_path / "out").manifest.provenance.adopted
    assert card is not None
    assert card.int8 is None
