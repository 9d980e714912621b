"""The int8 twin of a graph: exact integers, and what quantising leaves behind in the process."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from airreid.inference import Network
from airreid.quantisation.bias_correction import LARGEST, best_ends, prepare, rounded
from airreid.quantisation.static import _only_errors, quantise

CHANNELS, HEIGHT, WIDTH = 64, 4, 4


def _graph(path: Path, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> Path:
    """Crops of many channels -> normalised as a backbone does -> Conv, Relu -> float32."""
    nodes = [
        helper.make_node("Transpose", ["input"], ["moved"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["moved"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "std"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "weight", "bias"], ["conv"], name="conv"),
        helper.make_node("Relu", ["conv"], ["output"]),
    ]
    size = [weights.shape[1], HEIGHT, WIDTH]
    after = [len(weights), *(size[i + 1] - weights.shape[i + 2] + 1 for i in range(2))]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("input", TensorProto.UINT8, ["n", *size[1:], size[0]])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", *after])],
        [
            numpy_helper.from_array(np.full((1, size[0], 1, 1), 255, np.float32), "std"),
            numpy_helper.from_array(weights, "weight"),
            numpy_helper.from_array(bias, "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def _stored(path: Path) -> tuple[onnx.ModelProto, dict[str, NDArray[np.generic]]]:
    model = onnx.load(path)
    return model, {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _integers(path: Path, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float64], int]:
    """A quantised 1x1 layer in Python's integers: its output, and the largest sum of two
    neighbouring products, which some processors hold in 16 bits."""
    model, stored = _stored(path)
    before, after = (node for node in model.graph.node if node.op_type == "QuantizeLinear")
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    inputs_of = {node.output[0]: node.input for node in model.graph.node}
    weights, steps, _ = (stored[name] for name in inputs_of[conv.input[1]])
    bias = stored[inputs_of[conv.input[2]][0]].astype(np.int64)
    step, zero = (stored[name] for name in before.input[1:])
    x = np.clip(np.round(np.float32(crops / np.float32(255)) / step) + zero, 0, 255)
    matrix = weights[:, :, 0, 0].astype(np.int64)
    pairs = x.astype(np.int64)[..., None, :] * matrix
    largest = np.abs(pairs[..., ::2] + pairs[..., 1::2]).max()
    total = (x.astype(np.int64) - int(zero)) @ matrix.T + bias
    out_step, out_zero = (stored[name] for name in after.input[1:])
    y = total * (float(step) * steps.astype(np.float64)) / float(out_step)
    shifted = np.clip(np.round(y) + int(out_zero), 0, 255) - int(out_zero)
    return np.maximum(shifted, 0) * float(out_step), int(largest)


def test_int8_is_the_same_on_every_processor(tmp_path: Path) -> None:
    """Bright crops and weights of one sign: the worst there is for sums in 16 bits."""
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.9, 1, (32, CHANNELS, 1, 1)).astype(np.float32)
    weights[::2] *= -1
    bias = np.where(np.arange(32) % 2, 0, CHANNELS).astype(np.float32)
    crops = rng.integers(0, 256, (32, HEIGHT, WIDTH, CHANNELS), dtype=np.uint8)
    crops[::2] |= 0xF0
    source = _graph(tmp_path / "fp32.onnx", weights, bias)
    quantise(source, tmp_path / "int8.onnx", crops)
    expected, pair = _integers(tmp_path / "int8.onnx", crops)
    assert 32_000 < pair <= 2 * 255 * LARGEST < 2**15  # at 127 a weight it were 64,000
    got = Network(tmp_path / "int8.onnx", threads=1)(crops).transpose(0, 2, 3, 1)
    _, stored = _stored(tmp_path / "int8.onnx")
    step = float(stored["output_scale"])
    # The last rounding is of a float: a step either way where it is close to a half.
    assert np.abs(got - expected).max() <= 1.01 * step
    assert (np.abs(got - expected) < 0.01 * step).mean() > 0.99
    exact = Network(source, threads=1)(crops).transpose(0, 2, 3, 1)
    assert np.abs(got - exact).max() < 0.02 * exact.max()


def test_a_layer_is_rounded_once(tmp_path: Path) -> None:
    """Between a convolution and its ReLU nothing is rounded: one step in, one out."""
    rng = np.random.default_rng(1)
    weights = rng.normal(0, 1, (8, 3, 3, 3)).astype(np.float32)
    crops = rng.integers(0, 256, (16, HEIGHT, WIDTH, 3), dtype=np.uint8)
    source = _graph(tmp_path / "fp32.onnx", weights, np.zeros(8, np.float32))
    quantise(source, tmp_path / "int8.onnx", crops)
    model, stored = _stored(tmp_path / "int8.onnx")
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QuantizeLinear") == 2
    assert "Relu" not in kinds
    assert int(stored["output_zero_point"]) == 0  # nothing below zero is left to hold


@pytest.mark.parametrize("groups", [1, 3])
def test_rounding_moves_no_mean(tmp_path: Path, groups: int) -> None:
    """Outputs keep their means, though every weight is rounded; PyTorch convolves."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    weights = rng.standard_t(2, (12, 3 // groups, 2, 2)).astype(np.float32)
    crops = rng.integers(100, 256, (64, HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = _graph(tmp_path / "fp32.onnx", np.zeros((12, 3, 2, 2), np.float32), np.zeros(12, "f"))
    model, _ = _stored(path)
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    conv.attribute.append(helper.make_attribute("group", groups))
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(weights, "weight"))
    onnx.save(model, path)
    prepare(path, crops)
    model, stored = _stored(path)
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    clipped, bias = (stored[name] for name in conv.input[1:])
    ends = np.abs(clipped).max(axis=(1, 2, 3)).astype(np.float64)
    x = torch.from_numpy(crops.astype(np.float64) / 255).permute(0, 3, 1, 2)
    exact, plain, ours = (
        torch.nn.functional.conv2d(x, torch.from_numpy(kernel), groups=groups)
        .mean((0, 2, 3))
        .numpy()
        for kernel in (weights.astype(np.float64), *[rounded(clipped, ends)] * 2)
    )
    ours = ours + bias
    assert np.abs(plain - exact).max() > 0.01
    # Edges are seen less often than the middle, which the means leave out of account.
    assert np.abs(ours - exact).mean() < 0.1 * np.abs(plain - exact).mean()


def test_a_range_is_the_best_of_all_that_are_tried() -> None:
    """One far weight among many: cutting it off costs less than a coarse step for all."""
    rng = np.random.default_rng(3)
    weights = rng.normal(0, 1, (4, 4096))
    weights[0, 0] = 6.0
    weights[1] = 0.0
    weights[2] = np.sign(weights[2])
    ends = best_ends(weights)
    largest = np.abs(weights).max(axis=1)

    def error(end: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.square(rounded(weights, end) - weights).sum(axis=1)

    assert ends[0] < 0.97 * largest[0]
    assert ends[2] == largest[2] == 1.0
    assert np.all(error(ends) <= error(largest))
    for share in (0.61, 0.7, 0.8, 0.9):
        assert np.all(error(ends) <= error(share * largest) + 1e-2 * error(largest) + 1e-12)
    assert np.all(np.abs(rounded(weights, ends)) <= ends[:, None] + 1e-12)


def test_the_root_logger_is_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    root = logging.getLogger()
    level = root.level
    with _only_errors():
        root.warning("advice")
    assert root.level == level
    root.warning("of interest")
    assert "advice" not in caplog.text
    assert "of interest" in caplog.text
