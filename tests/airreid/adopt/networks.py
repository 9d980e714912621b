"""Small made networks: colours of a grid of fields, with any input layout and preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
}
FIELD = 32
"""Rows and columns of a field; a crop of 256 x 128 has 8 x 4."""


def write(
    path: Path,
    *,
    layout: str = "nchw",
    dtype: str = "float32",
    batch: int | str | None = "batch",
    size: tuple[int, int] | None = (256, 128),
    shape: str = "vector",
    extra_output: bool = False,
    extra_input: bool = False,
    nan: bool = False,
    constant: bool = False,
    mixes_batch: bool = False,
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0),
    convolution: str = "",
    opset: int = 13,
) -> Path:
    """Writes a network that squashes its pixels, weighs the colours and averages fields.

    Squashing makes it work only with pixels of the size of 1; ``gain`` makes it tell the colours
    apart; ``convolution``, a type, mixes neighbours. ``shape``: ``vector`` (N, D), ``pooled``
    (N, D, 1, 1), or ``map`` (N, C, H, W).
    """
    rows, columns = size or (256, 128)
    initializers: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def constant_of(name: str, values: Any, kind: Any = np.float32) -> str:
        initializers.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    last = "images"
    if layout == "nhwc":
        last = add("Transpose", [last], "planes", perm=[0, 3, 1, 2])
    if dtype != "float32":
        last = add("Cast", [last], "wide", to=TensorProto.FLOAT)
    if dtype == "uint8":
        last = add("Mul", [last, constant_of("small", 1 / 128)], "scaled")
        last = add("Sub", [last, constant_of("one", 1.0)], "centred")
    last = add("Tanh", [last], "squashed")
    last = add("Mul", [last, constant_of("gain", np.reshape(gain, (1, 3, 1, 1)))], "weighed")
    if convolution:
        kernel = np.random.default_rng(1).normal(0, 0.05, (3, 3, 3, 3))
        kernel[range(3), range(3), 1, 1] += 1
        if convolution == "float16":
            last = add("Cast", [last], "narrow", to=TensorProto.FLOAT16)
        last = add(
            "Conv", [last, constant_of("kernel", kernel, convolution)], "mixed", pads=[1] * 4
        )
        last = add("Cast", [last], "mixed32", to=TensorProto.FLOAT)
    pool = {"kernel_shape": [FIELD, FIELD], "strides": [FIELD, FIELD]}
    last = add("AveragePool", [last], "fields", **pool)
    fields = 3 * (rows // FIELD) * (columns // FIELD)
    if shape != "map":
        first = batch if isinstance(batch, int) else -1
        target = [first, fields] if shape == "vector" else [first, fields, 1, 1]
        last = add("Reshape", [last, constant_of("flat", target, np.int64)], "vector")
    if mixes_batch:
        mean = add("ReduceMean", [last], "mean", axes=[0], keepdims=1)
        last = add("Sub", [last, mean], "less")
    if nan:
        last = add("Log", [add("Sub", [last, constant_of("two", 2.0)], "below")], "nan")
    if constant:
        last = add("Mul", [last, constant_of("zero", 0.0)], "zeros")
    if dtype == "float16":
        last = add("Cast", [last], "half", to=TensorProto.FLOAT16)
    nodes.append(helper.make_node("Identity", [last], ["output"], "end"))
    outputs = [helper.make_tensor_value_info("output", _type(dtype), None)]
    if extra_output:
        nodes.append(helper.make_node("Identity", ["squashed"], ["attention"], "more"))
        outputs.append(helper.make_tensor_value_info("attention", TensorProto.FLOAT, None))
    height, width = (rows, columns) if size else ("height", "width")
    sides = [batch, 3, height, width] if layout == "nchw" else [batch, height, width, 3]
    inputs = [helper.make_tensor_value_info("images", TYPES[dtype], sides)]
    if extra_input:
        inputs.append(helper.make_tensor_value_info("camera", TensorProto.FLOAT, [1]))
    graph = helper.make_graph(nodes, "made", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def _type(dtype: str) -> int:
    return TensorProto.FLOAT16 if dtype == "float16" else TensorProto.FLOAT


def crops(count: int, size: tuple[int, int] = (256, 128), seed: int = 0) -> NDArray[np.uint8]:
    """Random crops of coloured fields: uint8 (count, H, W, 3)."""
    random = np.random.default_rng(seed)
    fields = random.integers(0, 256, (count, size[0] // FIELD, size[1] // FIELD, 3))
    return fields.repeat(FIELD, axis=1).repeat(FIELD, axis=2).astype(np.uint8)
