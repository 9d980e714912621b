"""Int8 graphs whose products can saturate are found, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from airreid.bundle import BackboneInfo, Manifest, default_bundle_path, load_bundle, write_manifest
from airreid.cli import build
from airreid.errors import BundleError
from airreid.model_card import ModelCard
from airreid.quantisation.saturation import Saturation, saturation
from airreid.quantisation.static import quantise
from airreid.scheme_info import FileRef

SIDE = 16


def quantised(
    path: Path,
    largest: int,
    *,
    activation: Any = np.uint8,
    weight: Any = np.int8,
    integer_data: bool = False,
) -> Path:
    """Crops -> a 1x1 convolution between QuantizeLinear and DequantizeLinear -> mean: (N, 4)."""
    weights = np.linspace(0, largest, 12).round().reshape(4, 3, 1, 1).astype(weight)
    constants = {
        "step": np.float32(1.0),
        "zero": np.zeros((), activation),
        "weight step": np.float32(0.01),
        "weight zero": np.zeros((), weight),
        "axes": np.array([2, 3]),
    }
    initializers = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    stored = numpy_helper.from_array(weights, "weights")
    if integer_data:
        kind = helper.np_dtype_to_tensor_dtype(weights.dtype)
        stored = helper.make_tensor("weights", kind, weights.shape, weights.ravel().tolist())
    nodes = [
        helper.make_node("Transpose", ["input"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("QuantizeLinear", ["float", "step", "zero"], ["integers"]),
        helper.make_node("DequantizeLinear", ["integers", "step", "zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["weights", "weight step", "weight zero"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"]),
        helper.make_node("ReduceMean", ["y", "axes"], ["output"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("input", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 4])],
        [*initializers, stored],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("integer_data", [False, True])
@pytest.mark.parametrize(("largest", "unsafe"), [(64, False), (65, True), (127, True)])
def test_weights_beyond_64_are_found(
    tmp_path: Path, largest: int, unsafe: bool, integer_data: bool
) -> None:
    counted = saturation(quantised(tmp_path / "n.onnx", largest, integer_data=integer_data))
    assert counted == (Saturation(1, 1, largest) if unsafe else None)


@pytest.mark.parametrize("types", [{"activation": np.int8}, {"weight": np.uint8}])
def test_other_types_are_multiplied_without_saturation(
    tmp_path: Path, types: dict[str, Any]
) -> None:
    assert saturation(quantised(tmp_path / "n.onnx", 127, **types)) is None


@pytest.mark.parametrize(
    ("operator", "inputs"),
    [
        ("MatMulInteger", ["x", "weights", "zero"]),
        ("ConvInteger", ["x", "weights"]),
        ("QLinearMatMul", ["x", "step", "zero", "weights", "step", "weight zero", "step", "zero"]),
    ],
)
def test_operators_on_integers_are_read_as_well(
    tmp_path: Path, operator: str, inputs: list[str]
) -> None:
    """The graph is only read here, so shapes do not matter."""
    constants = [
        numpy_helper.from_array(np.array([[-100, 3]], np.int8), "weights"),
        numpy_helper.from_array(np.zeros((), np.uint8), "zero"),
        numpy_helper.from_array(np.zeros((), np.int8), "weight zero"),
        numpy_helper.from_array(np.float32(1), "step"),
    ]
    graph = helper.make_graph([helper.make_node(operator, inputs, ["y"])], "g", [], [], constants)
    onnx.save(helper.make_model(graph), tmp_path / "n.onnx")
    assert saturation(tmp_path / "n.onnx") == Saturation(1, 1, 100)


def test_what_is_quantised_here_is_safe_everywhere(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    weights = random.standard_normal((4, 3, 1, 1)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["input"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Conv", ["float", "weights"], ["output"]),
        ],
        "made",
        [helper.make_tensor_value_info("input", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 4, SIDE, SIDE])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "fp32.onnx")
    crops = random.integers(0, 256, (16, SIDE, SIDE, 3), dtype=np.uint8)
    quantise(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", crops)
    assert saturation(tmp_path / "int8.onnx") is None
    kinds = [node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node]
    assert "QuantizeLinear" in kinds, "nothing was quantised"


@pytest.mark.parametrize(("largest", "warns"), [(64, False), (127, True)])
def test_verify_warns_of_a_bundle(tmp_path: Path, largest: int, warns: bool) -> None:
    path = quantised(tmp_path / "backbone.onnx", largest)
    backbone = BackboneInfo(
        id="made",
        file=FileRef.of(path),
        precision="int8",
        space_id="made",
        height=SIDE,
        width=SIDE,
        feature_dim=4,
    )
    manifest = Manifest(name="made", backbones=(backbone,), schemes=(), provenance=ModelCard())
    write_manifest(tmp_path, manifest)
    arguments = ["bundle", "verify", str(tmp_path)]
    result = CliRunner().invoke(build(arguments), arguments)
    assert result.exit_code == 0, result.output
    assert "is whole and runs" in result.stdout
    warning = "warning: backbone.onnx: 1 of 1 int8 layers have weights beyond +-64 (up to 127)"
    assert (warning in result.stderr) == warns
    assert ("warning" in result.output) == warns


def test_no_product_of_the_demo_bundle_can_saturate() -> None:
    """From the weights themselves: top-1 of the demo does not depend on the processor."""
    bundle = load_bundle(default_bundle_path())
    path = bundle.file(bundle.backbone.file)
    graph = onnx.load(path).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    source = {output: node for node in graph.node for output in node.output}
    products = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    largest = []
    for node in products:
        activations, weights = (source[name] for name in node.input[:2])
        assert (activations.op_type, weights.op_type) == ("DequantizeLinear", "DequantizeLinear")
        assert stored[activations.input[2]].dtype == np.uint8
        integers = stored[weights.input[0]]
        assert integers.dtype == np.int8
        largest.append(int(np.abs(integers.astype(int)).max()))
    assert len(largest) == 53
    assert min(largest) > 32, "seven bits are not used"
    assert all(2 * 255 * size <= np.iinfo(np.int16).max for size in largest)
    assert saturation(path) is None
    arguments = ["bundle", "verify"]
    result = CliRunner().invoke(build(arguments), arguments)
    assert result.exit_code == 0, result.output
    assert "is whole and runs" in result.stdout
    assert "warning" not in result.output


def test_an_export_of_the_demo_bundle_with_8_bits_is_told(tmp_path: Path) -> None:
    """The check works for this graph: one weight that is too large is found."""
    bundle = load_bundle(default_bundle_path())
    model = onnx.load(bundle.file(bundle.backbone.file))
    weights = [
        tensor
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 4
    ]
    assert len(weights) == 53
    integers = numpy_helper.to_array(weights[20]).copy()
    integers.flat[7] = -65
    weights[20].CopyFrom(numpy_helper.from_array(integers, weights[20].name))
    onnx.save(model, tmp_path / "8.onnx")
    assert saturation(tmp_path / "8.onnx") == Saturation(1, 53, 65)


def test_another_file_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "n.onnx").write_bytes(b"\xff" * 40)
    with pytest.raises(BundleError, match="not an ONNX file; copy the bundle again"):
        saturation(tmp_path / "n.onnx")
