"""Weights of an int8 graph rounded anew to 7 bits, where the fp32 graph is no longer there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from airreid.errors import InputError
from airreid.quantisation.bias_correction import (
    LARGEST,
    Floats,
    best_ends,
    channel_means,
    mean_output,
    rounded,
)
from airreid.quantisation.saturation import saturation

_OPERATOR_SET = 13
"""The first that has scales per channel."""
Constants = dict[str, NDArray[np.generic]]


def requantise(source: Path, target: Path, crops: NDArray[np.uint8]) -> None:
    """Writes an int8 graph whose products fit every processor, from one whose products may not.

    The values that the weights of each convolution stand for are rounded to 7 bits, and biases
    corrected for what that adds to the mean output over ``crops`` (N, H, W, 3), as in
    :mod:`airreid.quantisation.bias_correction`. Operators and the ranges of activations stay.
    Raises :class:`InputError` for a graph with other layers that can saturate, or none.
    """
    if saturation(source) is None:
        raise InputError(f"{source}: no product can saturate; use it as it is")
    model = onnx.load(source)
    version = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if version < _OPERATOR_SET:
        raise InputError(f"{source}: of operator set {version}; quantise its fp32 graph again")
    graph = model.graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    source_of = {output: node for node in graph.node for output in node.output}
    convolutions = [
        node
        for node in graph.node
        if node.op_type == "Conv"
        and _is_signed(node.input[1], source_of, stored)
        and _dequantises(source_of.get(node.input[0]))
    ]
    inputs = dict.fromkeys(node.input[0] for node in convolutions)
    means = channel_means(model, inputs, crops, optimised=False)
    nodes: list[onnx.NodeProto] = []
    for number, node in enumerate(convolutions):
        weights = _value(node.input[1], source_of, stored)
        biased = len(node.input) > 2 and node.input[2]
        bias = _value(node.input[2], source_of, stored) if biased else np.zeros(len(weights))
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        ends = best_ends(weights)
        bias = bias + mean_output(weights - rounded(weights, ends), means[node.input[0]], groups)
        input_step = stored[source_of[node.input[0]].input[1]].astype(np.float32)
        nodes += _rounded_constants(graph, f"conv{number}", weights, ends, bias, input_step)
        node.input[:] = [node.input[0], *(constant.output[0] for constant in nodes[-2:])]
    _replace_nodes(graph, [*nodes, *graph.node])
    onnx.checker.check_model(model)
    onnx.save(model, target)
    if saturation(target) is not None:
        target.unlink()
        raise InputError(
            f"{source}: layers that are no convolutions can saturate too; quantise its fp32 graph "
            "again, with convolutions in integers alone"
        )


def _dequantises(node: onnx.NodeProto | None) -> bool:
    return node is not None and node.op_type == "DequantizeLinear"


def _is_signed(name: str, source_of: dict[str, onnx.NodeProto], stored: Constants) -> bool:
    """Whether a DequantizeLinear gives a constant its value, from int8."""
    node = source_of.get(name)
    if node is None or not _dequantises(node) or node.input[0] not in stored:
        return False
    return stored[node.input[0]].dtype == np.int8


def _value(name: str, source_of: dict[str, onnx.NodeProto], stored: Constants) -> Floats:
    """Values of a constant: its own, or those that its integers (C, ...) stand for."""
    if name in stored:
        return np.asarray(stored[name], dtype=np.float64)
    node = source_of[name]
    integers, scale = (stored[part].astype(np.float64) for part in node.input[:2])
    zero = stored[node.input[2]].astype(np.float64) if len(node.input) > 2 else np.zeros(())
    column = (-1, *[1] * (integers.ndim - 1))
    return np.asarray((integers - zero.reshape(column)) * scale.reshape(column))


def _rounded_constants(
    graph: onnx.GraphProto,
    name: str,
    weights: Floats,
    ends: Floats,
    bias: Floats,
    input_step: NDArray[np.float32],
) -> list[onnx.NodeProto]:
    """Stores weights (C, ...) and bias (C,) in integers: the nodes that give their values."""
    steps = (np.maximum(ends, np.finfo(np.float32).tiny) / LARGEST).astype(np.float32)
    column = steps.reshape(-1, *[1] * (weights.ndim - 1))
    integers = np.clip(np.round(weights / column), -LARGEST, LARGEST).astype(np.int8)
    offsets = np.round(bias / (steps * input_step)).astype(np.int32)
    return [
        _dequantise(graph, f"{name}.weight.rounded", integers, steps),
        _dequantise(graph, f"{name}.bias.rounded", offsets, steps * input_step),
    ]


def _dequantise(
    graph: onnx.GraphProto, name: str, integers: NDArray[Any], scale: NDArray[np.float32]
) -> onnx.NodeProto:
    """Stores integers (C, ...) with their scales (C,): the node that gives their values."""
    parts = {
        name: integers,
        f"{name}.scale": scale.astype(np.float32),
        f"{name}.zero": np.zeros(scale.shape, integers.dtype),
    }
    for part, values in parts.items():
        graph.initializer.append(numpy_helper.from_array(values, part))
    return helper.make_node("DequantizeLinear", list(parts), [f"{name}.value"], axis=0)


def _replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Gives a graph these operators, without those whose result nothing takes any more."""
    wanted = {info.name for info in graph.output}
    needed: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            needed.append(node)
            wanted.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(needed))
    used = Counter(name for node in needed for name in node.input)
    constants = [tensor for tensor in graph.initializer if used[tensor.name]]
    del graph.initializer[:]
    graph.initializer.extend(constants)
