"""A network wrapped so that it takes what every bundle takes: uint8 RGB crops, N x H x W x 3."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from airreid.adopt.network import NetworkInterface, PlainNetwork
from airreid.adopt.preprocessing import Preprocessing
from airreid.errors import BundleError, InputError
from airreid.inference import Network

PREFIX = "network/"
"""Prefix of every name of the user's graph inside the wrapped one."""
TOLERANCE = 1e-3
"""Largest difference between wrapped and plain network, relative to the feature's RMS."""
HALF_TOLERANCE = 2e-2
"""The same for a network in half precision."""
SMALLEST, LARGEST = 1e-9, 1e12
"""RMS of features between which codes can divide by a feature's length in float32."""


def wrap(
    model: onnx.ModelProto,
    interface: NetworkInterface,
    preprocessing: Preprocessing,
    feature_dim: int,
) -> onnx.ModelProto:
    """Puts the preprocessing into the graph: uint8 (N, H, W, 3) -> float32 (N, feature_dim).

    Nodes that the chosen output does not need are left out, and so are the other outputs. The
    batch is made free; :func:`prove` says whether the graph can do with that.
    """
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset < 9:
        raise InputError(f"an ONNX graph of operator set {opset}; export it with 9 or later")
    wrapped = compose.add_prefix(model, PREFIX)  # a copy; its names never meet those added here
    graph = wrapped.graph
    interface = replace(
        interface,
        input_name=PREFIX + interface.input_name,
        output_name=PREFIX + interface.output_name,
    )
    nodes = _needed(graph, interface.output_name)
    nodes = [*_before(graph, interface, preprocessing), *nodes, *_after(interface)]
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input} | _captured(nodes)
    initializers = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(initializers)
    if interface.batch is not None:
        _free_batch(graph, interface.batch)
    shape: list[str | int | None] = ["batch", interface.height, interface.width, 3]
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("input", TensorProto.UINT8, shape))
    del graph.output[:]
    graph.output.append(
        helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", feature_dim])
    )
    del graph.value_info[:]
    return wrapped


def _needed(graph: onnx.GraphProto, output: str) -> list[onnx.NodeProto]:
    """The nodes that an output depends on, in their order."""
    wanted, nodes = {output}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input) | _captured([node])
            nodes.append(node)
    return nodes[::-1]


def _captured(nodes: list[onnx.NodeProto]) -> set[str]:
    """Names of the outer graph that sub-graphs (``If``, ``Loop``) use."""
    names = set()
    for node in nodes:
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                names |= {name for child in inner.node for name in child.input}
                names |= _captured(list(inner.node))
    return names


def _before(
    graph: onnx.GraphProto, interface: NetworkInterface, preprocessing: Preprocessing
) -> list[onnx.NodeProto]:
    std = np.asarray(preprocessing.std, np.float64)
    gain = np.asarray(preprocessing.scale / std, np.float32)
    offset = np.asarray(np.asarray(preprocessing.mean, np.float64) / std, np.float32)
    nodes: list[onnx.NodeProto] = []
    last = "input"

    def add(operator: str, inputs: list[str], **attributes: Any) -> None:
        nonlocal last
        name = f"image/{len(nodes)}.{operator.lower()}"
        nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        last = name

    def constant(name: str, values: NDArray[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(values, f"image/{name}"))
        return f"image/{name}"

    if preprocessing.colour == "bgr":
        order = constant("bgr", np.asarray([2, 1, 0], np.int64))
        add("Gather", [last, order], axis=3)
    if interface.dtype != "uint8":
        add("Cast", [last], to=TensorProto.FLOAT)
    if not preprocessing.untouched:
        add("Mul", [last, constant("gain", gain)])
        add("Sub", [last, constant("offset", offset)])
    if interface.layout == "nchw":
        add("Transpose", [last], perm=[0, 3, 1, 2])
    if interface.dtype == "float16":
        add("Cast", [last], to=TensorProto.FLOAT16)
    nodes.append(helper.make_node("Identity", [last], [interface.input_name], "image/ready"))
    return nodes


def _after(interface: NetworkInterface) -> list[onnx.NodeProto]:
    flat = helper.make_node(
        "Flatten", [interface.output_name], ["feature/flat"], "feature/flat", axis=1
    )
    cast = helper.make_node(
        "Cast", ["feature/flat"], ["output"], "feature/float32", to=TensorProto.FLOAT
    )
    return [flat, cast]


def _free_batch(graph: onnx.GraphProto, batch: int) -> None:
    """Frees shapes that name the exported batch size as their first number."""
    targets = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for tensor in graph.initializer:
        if tensor.name in targets:
            freed = _freed(numpy_helper.to_array(tensor), batch)
            tensor.CopyFrom(numpy_helper.from_array(freed, tensor.name))
    for node in graph.node:
        if node.op_type == "Constant" and node.output[0] in targets:
            for attribute in node.attribute:
                if attribute.name == "value":
                    freed = _freed(numpy_helper.to_array(attribute.t), batch)
                    attribute.t.CopyFrom(numpy_helper.from_array(freed))


def _freed(shape: NDArray[np.int64], batch: int) -> NDArray[np.int64]:
    if len(shape) < 2 or shape[0] != batch:
        return shape
    freed = shape.copy()
    freed[0] = 0 if (shape[1:] == -1).any() else -1  # 0 keeps the input's; -1 is what is left
    return freed


def prove(
    path: Path, plain: PlainNetwork, crops: NDArray[np.uint8], preprocessing: Preprocessing
) -> float:
    """Largest difference between the wrapped and the plain network, relative to the RMS.

    ``crops``: uint8 (N, H, W, 3). They pass one at a time and together, so that a batch size that
    was not really freed, and a result that depends on who else is in the batch, are found out.
    Raises :class:`InputError` for either, for values that are not finite or far too large or
    small, for features that are the same for every image, and for those that differ from call to
    call.
    """
    name, tolerance = plain.path, HALF_TOLERANCE if plain.half else TOLERANCE
    pixels = preprocessing.apply(crops)
    expected = plain.features(pixels).astype(np.float64)
    scale = _scale(name, expected)
    again = float(np.abs(plain.features(pixels) - expected).max()) / scale
    if not again <= tolerance:
        raise InputError(
            f"{name}: gives the same crops other features with every call (by {again:.1e} of "
            "their size), as dropout does; export the network in evaluation mode"
        )
    single, batch = _run_wrapped(name, path, crops)
    together = float(np.abs(batch - single).max()) / scale
    if not together <= tolerance:
        raise InputError(
            f"{name}: an image's feature depends on the others in its batch (by {together:.1e} of "
            "its size); export the network in evaluation mode"
        )
    alone = float(np.abs(single - expected).max()) / scale
    if not alone <= tolerance:
        raise InputError(
            f"{name}: with its preprocessing inside the graph it differs from the plain network by "
            f"{alone:.1e} of the feature's size, more than {tolerance:.0e}; export it again, with "
            "a free batch size"
        )
    return max(alone, together)


def _scale(name: Path, features: NDArray[np.float64]) -> float:
    """The features' RMS. Raises :class:`InputError` for features that tell nothing apart."""
    if not np.isfinite(features).all():
        raise InputError(f"{name}: the network gives NaN or infinity for ordinary crops")
    scale = float(np.sqrt(np.square(features).mean()))
    if float(features.std(axis=0).max()) <= 1e-6 * scale:
        raise InputError(f"{name}: every image gives the same feature; name another --output")
    if not SMALLEST <= scale <= LARGEST:
        raise InputError(
            f"{name}: features of size {scale:.0e}, not between {SMALLEST:.0e} and {LARGEST:.0e}; "
            "export the network with its feature normalised"
        )
    return scale


def _run_wrapped(
    name: Path, path: Path, crops: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features by the wrapped network, of each crop alone and of all together."""
    try:
        network = Network(path, threads=1)
    except BundleError as error:
        raise InputError(str(error).replace(str(path), str(name))) from None
    single = [_features(network, crops[i : i + 1]) for i in range(len(crops))]
    batch = _features(network, crops)
    if batch is None or any(row is None for row in single):
        raise InputError(
            f"{name}: takes batches of one size only; export it with a free batch size "
            "(dynamic_axes or dynamic_shapes)"
        )
    return np.concatenate([row for row in single if row is not None]), batch


def _features(network: Network, crops: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Features (N, D), or None where the graph cannot take so many crops."""
    try:
        features = network(crops)
    except Exception:  # of ONNX Runtime, which has one class for each reason
        return None
    return features if len(features) == len(crops) else None
