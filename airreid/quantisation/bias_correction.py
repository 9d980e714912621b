"""Correction of rounded weights: ranges of least error, and biases that make up for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

LARGEST = 64
"""Largest rounded weight. Processors with AVX2 and no VNNI add two products of uint8 and int8
in 16 bits, with saturation: 2 x 255 x 64 = 32,640 still fits, with 127 it does not."""
_SHARES = np.linspace(1.0, 0.6, 41)
"""Shares of the largest weight that are tried as the range's end."""
_BATCH = 8
Floats = NDArray[np.float64]


def best_ends(weights: NDArray[np.floating]) -> Floats:
    """Finds the end of each channel's range that rounds with the least squared error: (C,).

    ``weights``: (C, ...), outgoing channels first. The largest weight is an end that is
    tried, so none is worse than that.
    """
    flat = weights.reshape(len(weights), -1).astype(np.float64)
    largest = np.abs(flat).max(axis=1)
    ends = np.stack([share * largest for share in _SHARES])
    errors = np.stack([np.square(rounded(flat, end) - flat).sum(axis=1) for end in ends])
    return np.asarray(np.take_along_axis(ends, errors.argmin(axis=0)[None], axis=0)[0])


def rounded(weights: NDArray[np.floating], ends: Floats) -> Floats:
    """Rounds (C, ...) weights to integers up to ``LARGEST`` over +-``ends`` (C,)."""
    column = ends.reshape(-1, *[1] * (weights.ndim - 1))
    step = np.maximum(column, np.finfo(np.float32).tiny) / LARGEST
    integers = np.clip(np.round(weights / step), -LARGEST, LARGEST)
    return np.asarray(integers * step, dtype=np.float64)


def prepare(path: Path, crops: NDArray[np.uint8]) -> None:
    """Rewrites an fp32 graph so that rounding its weights costs little.

    Each convolution's weights are clipped to :func:`best_ends`. What rounding them adds
    to an output's mean over ``crops`` (N, H, W, 3) is taken off its bias: with inputs of
    mean m, (W - W') m (Nagel et al., *Data-Free Quantization*, 2019, section 4.2, with
    measured means). Constants of three channels are widened, see :func:`_widen`.
    """
    model = onnx.load(path)
    graph = model.graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    convolutions = [
        node for node in graph.node if node.op_type == "Conv" and node.input[1] in stored
    ]
    inputs = dict.fromkeys(node.input[0] for node in convolutions)
    means = channel_means(model, inputs, crops)
    for number, node in enumerate(convolutions):
        weights = stored[node.input[1]]
        ends = best_ends(weights)
        lost = weights - rounded(weights, ends)
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        offset = mean_output(lost, means[node.input[0]], groups)
        bias = stored[node.input[2]] if len(node.input) > 2 else np.zeros(len(weights))
        column = ends.reshape(-1, *[1] * (weights.ndim - 1))
        prepared = {"weight": np.clip(weights, -column, column), "bias": bias + offset}
        names = {part: f"conv{number}.{part}.prepared" for part in prepared}
        for part, values in prepared.items():
            graph.initializer.append(
                numpy_helper.from_array(values.astype(np.float32), names[part])
            )
        node.input[:] = [node.input[0], names["weight"], names["bias"]]
    _widen(graph, stored)
    used = Counter(name for node in graph.node for name in node.input)
    needed = [tensor for tensor in graph.initializer if used[tensor.name]]
    del graph.initializer[:]
    graph.initializer.extend(needed)
    onnx.save(model, path)


def mean_output(weights: Floats, means: Floats, groups: int) -> Floats:
    """Mean output (C,) of a convolution (C, C_in / groups, ...) of inputs with means (C_in,).

    Padding is left out of account.
    """
    per_input = weights.reshape(groups, -1, *weights.shape[1:]).sum(
        axis=tuple(range(3, weights.ndim + 1))
    )
    return np.asarray(np.einsum("goi,gi->go", per_input, means.reshape(groups, -1)).ravel())


def channel_means(
    model: onnx.ModelProto,
    wanted: Collection[str],
    crops: NDArray[np.uint8],
    optimised: bool = True,
) -> dict[str, Floats]:
    """Mean over images and positions of each channel of tensors (N, C, ...) of a graph.

    Not ``optimised``, int8 layers run as floats and cannot saturate.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    graph = watched.graph
    outputs = [f"mean.{name}" for name in wanted]
    for name, output in zip(wanted, outputs, strict=True):
        graph.node.append(helper.make_node("GlobalAveragePool", [name], [output]))
        graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session: Any = ort.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    source = session.get_inputs()[0].name
    sums: list[Any] = [0.0] * len(outputs)
    for start in range(0, len(crops), _BATCH):
        batch = np.ascontiguousarray(crops[start : start + _BATCH])
        means = session.run(outputs, {source: batch})  # (N, C, 1, 1) each
        sums = [total + mean.sum(axis=0) for total, mean in zip(sums, means, strict=True)]
    return {
        name: np.asarray(total).ravel() / len(crops)
        for name, total in zip(wanted, sums, strict=True)
    }


def _widen(graph: onnx.GraphProto, stored: dict[str, NDArray[Any]]) -> None:
    """Repeats a constant (1, C, 1, 1) of few channels along the width.

    The int8 graph runs with channels last; there, a constant of three values along the
    last axis is combined three values at a time, 16 times slower than whole rows.
    """
    widths = {
        info.name: info.type.tensor_type.shape.dim[-1].dim_value
        for info in graph.value_info
        if len(info.type.tensor_type.shape.dim) == 4
    }
    for node in graph.node:
        if node.op_type not in ("Sub", "Div", "Mul", "Add"):
            continue
        source, constant = node.input[0], node.input[1]
        values, width = stored.get(constant), widths.get(source, 0)
        if values is None or values.shape != (1, 3, 1, 1) or width <= 0:
            continue
        wide = f"{constant}.wide"
        if all(tensor.name != wide for tensor in graph.initializer):
            repeated = np.ascontiguousarray(np.broadcast_to(values, (1, 3, 1, width)))
            graph.initializer.append(numpy_helper.from_array(repeated, wide))
        node.input[1] = wide
