"""Bundles whose weights are rounded anew compute what they did, on every processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper
from PIL import Image
from typer.testing import CliRunner

from airreid.bundle import BackboneInfo, Bundle, Manifest, load_bundle, write_manifest
from airreid.cli import build
from airreid.errors import AirReidError, InputError
from airreid.model_card import Accuracy, ModelCard
from airreid.quantisation.requantise import requantise
from airreid.quantisation.saturation import Saturation, saturation
from airreid.scheme_info import FileRef

SIDE = 16
CHANNELS = 8


class Graph:
    """Crops -> 8-bit convolutions between QuantizeLinear and DequantizeLinear -> mean: (N, 8)."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.constants: dict[str, np.ndarray] = {"axes": np.array([2, 3])}
        self.nodes = [
            helper.make_node("Transpose", ["input"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Cast", ["planes"], ["float"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", ["float", "unit"], ["pixels"]),
        ]
        self.constants["unit"] = np.float32(1 / 255)

    def activation(self, source: str, largest: float) -> str:
        """Quantises a tensor to uint8, from zero to ``largest``."""
        self.constants[f"{source}.step"] = np.float32(largest / 255)
        self.constants[f"{source}.zero"] = np.zeros((), np.uint8)
        parts = [f"{source}.step", f"{source}.zero"]
        self.nodes += [
            helper.make_node("QuantizeLinear", [source, *parts], [f"{source}.q"]),
            helper.make_node("DequantizeLinear", [f"{source}.q", *parts], [f"{source}.dq"]),
        ]
        return f"{source}.dq"

    def constant(self, name: str, integers: np.ndarray, step: np.ndarray) -> str:
        self.constants[name], self.constants[f"{name}.step"] = integers, step.astype(np.float32)
        self.constants[f"{name}.zero"] = np.zeros(step.shape, integers.dtype)
        parts = [name, f"{name}.step", f"{name}.zero"]
        self.nodes.append(helper.make_node("DequantizeLinear", parts, [f"{name}.dq"], axis=0))
        return f"{name}.dq"

    def convolution(
        self, source: str, name: str, inputs: int, *, bias: str, groups: int = 1
    ) -> str:
        """A 3x3 convolution with weights up to +-127, one scale a channel or one for all."""
        integers = self.random.normal(0, 40, (CHANNELS, inputs // groups, 3, 3))
        integers = np.clip(integers.round(), -127, 127).astype(np.int8)
        integers[:, 0, 0, 0] = 127
        step = np.full(CHANNELS, 0.002) if bias != "none" else np.asarray(0.002)
        weight = self.constant(f"{name}.weight", integers, step)
        offsets = self.random.normal(0, 1, CHANNELS).astype(np.float32)
        extra = []
        if bias == "integers":
            scale = step * self.constants[f"{source.removesuffix('.dq')}.step"]
            rounded = np.round(offsets / scale).astype(np.int32)
            extra = [self.constant(f"{name}.bias", rounded, scale)]
        elif bias == "float":
            self.constants[f"{name}.bias"] = offsets
            extra = [f"{name}.bias"]
        node = helper.make_node("Conv", [source, weight, *extra], [name], group=groups)
        self.nodes.append(node)
        return name

    def save(self, path: Path, last: str) -> Path:
        mean = helper.make_node("ReduceMean", [last, "axes"], ["output"], keepdims=0)
        graph = helper.make_graph(
            [*self.nodes, mean],
            "made",
            [helper.make_tensor_value_info("input", onnx.TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
            [helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, ["n", CHANNELS])],
            [numpy_helper.from_array(np.asarray(v), name) for name, v in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model)
        onnx.save(model, path)
        return path


def three_layers(path: Path) -> Path:
    graph = Graph()
    x = graph.activation("pixels", 1.0)
    x = graph.convolution(x, "first", 3, bias="integers")
    graph.nodes.append(helper.make_node("Relu", [x], ["ramp"]))
    x = graph.activation("ramp", 6.0)
    x = graph.activation(graph.convolution(x, "second", 8, bias="none", groups=2), 6.0)
    return graph.save(path, graph.convolution(x, "third", 8, bias="float"))


def features(path: Path, crops: np.ndarray) -> np.ndarray:
    """Features as the graph means them: in floats, without integer kernels."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"input": crops})[0])


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    shape = (40, SIDE, SIDE, 3)
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def test_features_stay_and_nothing_saturates(tmp_path: Path, crops: np.ndarray) -> None:
    before, after = three_layers(tmp_path / "8.onnx"), tmp_path / "7.onnx"
    assert saturation(before) == Saturation(3, 3, 127)
    requantise(before, after, crops[:20])
    assert saturation(after) is None
    exact, rounded = features(before, crops[20:]), features(after, crops[20:])
    spread = (exact - exact.mean(axis=0)).std()
    assert np.abs(rounded - exact).max() > 0
    # biases make up for the mean: what is left is below the differences between images
    assert np.abs((rounded - exact).mean(axis=0)).max() < 0.3 * spread
    assert np.corrcoef(exact.ravel(), rounded.ravel())[0, 1] > 0.999


def test_operators_and_ranges_of_activations_stay(tmp_path: Path, crops: np.ndarray) -> None:
    before, after = three_layers(tmp_path / "8.onnx"), tmp_path / "7.onnx"
    requantise(before, after, crops)
    graphs = [onnx.load(path).graph for path in (before, after)]
    operators = [
        [node.op_type for node in graph.node if node.op_type != "DequantizeLinear"]
        for graph in graphs
    ]
    assert operators[0] == operators[1]
    ranges = [
        {
            tensor.name: numpy_helper.to_array(tensor).tolist()
            for tensor in graph.initializer
            if tensor.name.startswith(("pixels", "ramp", "second."))
            and ".weight" not in tensor.name
        }
        for graph in graphs
    ]
    assert ranges[0] == ranges[1]
    assert len(ranges[0]) == 6
    names = {tensor.name for tensor in graphs[1].initializer}
    assert "first.weight" not in names, "8-bit weights are still in the file"


def test_a_graph_that_is_safe_is_refused(tmp_path: Path, crops: np.ndarray) -> None:
    requantise(three_layers(tmp_path / "8.onnx"), tmp_path / "7.onnx", crops[:4])
    with pytest.raises(InputError, match=r"7\.onnx: no product can saturate; use it as it is"):
        requantise(tmp_path / "7.onnx", tmp_path / "again.onnx", crops[:4])


def test_other_layers_that_saturate_are_refused(tmp_path: Path, crops: np.ndarray) -> None:
    graph = Graph()
    x = graph.activation("pixels", 1.0)
    x = graph.activation(graph.convolution(x, "first", 3, bias="float"), 6.0)
    weight = graph.constant("square", np.full((14, 14), 100, np.int8), np.asarray(0.01))
    graph.nodes.append(helper.make_node("MatMul", [x, weight], ["product"]))
    path = graph.save(tmp_path / "8.onnx", "product")
    with pytest.raises(InputError, match="layers that are no convolutions can saturate too"):
        requantise(path, tmp_path / "7.onnx", crops[:4])
    assert not (tmp_path / "7.onnx").exists()


def test_an_old_operator_set_is_refused(tmp_path: Path, crops: np.ndarray) -> None:
    model = onnx.load(three_layers(tmp_path / "8.onnx"))
    model.opset_import[0].version = 12
    onnx.save(model, tmp_path / "8.onnx")
    with pytest.raises(InputError, match="of operator set 12; quantise its fp32 graph again"):
        requantise(tmp_path / "8.onnx", tmp_path / "7.onnx", crops[:4])


@pytest.fixture
def unsafe(tmp_path: Path) -> Bundle:
    """A bare backbone with 8-bit weights, and a card with an accuracy and a field of its own."""
    folder = tmp_path / "unsafe"
    folder.mkdir()
    backbone = BackboneInfo(
        id="made-int8",
        file=FileRef.of(three_layers(folder / "backbone.onnx")),
        precision="int8",
        space_id="made",
        height=SIDE,
        width=SIDE,
        feature_dim=CHANNELS,
    )
    card = ModelCard.model_validate(
        {"data": "nobody", "remark": "by hand", "accuracy": Accuracy(noiseless_int8_top1=0.5)}
    )
    manifest = Manifest(name="made", backbones=(backbone,), schemes=(), provenance=card)
    return write_manifest(folder, manifest)


@pytest.fixture
def images(tmp_path: Path, crops: np.ndarray) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for row, crop in enumerate(crops[:6]):
        Image.fromarray(crop).save(folder / f"{row}.png")
    return folder


def run(*words: object) -> str:
    arguments = ["bundle", *map(str, words)]
    result = CliRunner().invoke(build(arguments), arguments)
    if isinstance(result.exception, AirReidError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_makes_a_bundle_that_verify_does_not_warn_of(
    unsafe: Bundle, images: Path, tmp_path: Path
) -> None:
    assert "bundle requantise" in run("verify", unsafe.path)
    output = run("requantise", unsafe.path, "--images", images, "--out", tmp_path / "new")
    bundle = load_bundle(tmp_path / "new")
    assert f"bundle {bundle.bundle_id}, with 7-bit weights in made-int8" in output
    assert "warning" not in run("verify", bundle.path)
    before = unsafe.manifest.backbones[0]
    update = {"file": bundle.backbone.file}
    assert bundle.manifest.backbones == (before.model_copy(update=update),)
    assert bundle.backbone.file.sha256 != before.file.sha256


def test_the_card_says_what_was_done_and_no_accuracy_of_other_weights(
    unsafe: Bundle, images: Path, tmp_path: Path
) -> None:
    run("requantise", unsafe.path, "--images", images, "--out", tmp_path / "new")
    card = load_bundle(tmp_path / "new").manifest.provenance
    values = card.model_dump()
    assert set(values) == {"data", "remark", "requantised"}
    assert (values["data"], values["remark"]) == ("nobody", "by hand")
    (record,) = card.requantised
    assert (record.from_bundle, record.backbones, record.bits) == (
        unsafe.bundle_id,
        ("made-int8",),
        7,
    )
    assert record.images.startswith("6 images of folder images, without identities, digest ")
    assert set(record.versions) == {"airreid", "numpy", "onnx", "onnxruntime"}
    assert (record.top1_change, len(record.date)) == (None, len("2026-11-29"))


def test_what_cannot_be_done_is_one_error(unsafe: Bundle, images: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").write_text("mine")
    with pytest.raises(InputError, match="taken: is there already; give another --out"):
        run("requantise", unsafe.path, "--images", images, "--out", taken)
    assert (taken / "file").read_text() == "mine"
    with pytest.raises(InputError, match="nowhere"):
        run("requantise", unsafe.path, "--images", tmp_path / "nowhere", "--out", tmp_path / "new")
    (images / "0.png").write_text("no image")
    output = run("requantise", unsafe.path, "--images", images, "--out", tmp_path / "new")
    assert "note: 1 file left out" in output
    assert "0.png: " in output
    with pytest.raises(InputError, match="new: no backbone can saturate; use the bundle as it is"):
        run("requantise", tmp_path / "new", "--images", images, "--out", tmp_path / "newer")
    assert not (tmp_path / "newer").exists()
