"""A check of int8 graphs for products that saturate on processors without VNNI.

Processors with AVX2 or AVX-512 and no VNNI multiply unsigned activations with signed weights by
``VPMADDUBSW``, which adds two products in 16 bits with saturation: 2 x 255 x 64 = 32,640 fits, a
larger weight may not. Such a graph gives other features there than on a processor with VNNI.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.quantisation.onnx_file import Node, StoredGraph, read_graph

LARGEST_SAFE = 64
"""Largest size of a signed weight with which two products with uint8 never saturate."""
_FLOAT_FORM = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators that run in integers between DequantizeLinear and QuantizeLinear."""
_INTEGER_FORM = {"QLinearConv": 3, "QLinearMatMul": 3, "ConvInteger": 1, "MatMulInteger": 1}
"""Operators on integers, with the position of the weights among their inputs. Of all of them the
third input is the zero point of the activations, which has the activations' type."""


@dataclass(frozen=True)
class Saturation:
    """Layers of a graph whose products may saturate."""

    layers: int
    """Layers with weights beyond :data:`LARGEST_SAFE`."""
    quantised: int
    """Layers that multiply unsigned activations with signed 8-bit weights."""
    largest: int
    """Size of the largest weight."""


def saturation(path: Path) -> Saturation | None:
    """Looks for weights that are too large in an ONNX file; None where there is none.

    Raises :class:`airreid.errors.BundleError` for a file that is not ONNX.
    """
    graph = read_graph(path)
    largest = [int(np.abs(weights.astype(int)).max()) for weights in _signed_weights(graph)]
    unsafe = [size for size in largest if size > LARGEST_SAFE]
    return Saturation(len(unsafe), len(largest), max(unsafe)) if unsafe else None


def _signed_weights(graph: StoredGraph) -> list[NDArray[np.integer]]:
    """Signed weights of each layer that multiplies them with unsigned activations."""
    source = {output: node for node in graph.nodes for output in node.outputs}
    layers = []
    for node in graph.nodes:
        weights: NDArray[np.integer] | None = None
        unsigned = False
        if node.operator in _FLOAT_FORM and len(node.inputs) >= 2:
            before, stored = (source.get(name) for name in node.inputs[:2])
            if _dequantises(before) and _dequantises(stored):
                weights = graph.constants.get(stored.inputs[0])  # type: ignore[union-attr]
                unsigned = _is_unsigned(graph, before)
        elif node.operator in _INTEGER_FORM:
            weights = graph.constants.get(node.inputs[_INTEGER_FORM[node.operator]])
            unsigned = len(node.inputs) < 3 or _unsigned_constant(graph, node.inputs[2])
        if weights is not None and weights.dtype == np.int8 and weights.size and unsigned:
            layers.append(weights)
    return layers


def _dequantises(node: Node | None) -> bool:
    return node is not None and node.operator == "DequantizeLinear"


def _is_unsigned(graph: StoredGraph, dequantise: Node | None) -> bool:
    """Whether a DequantizeLinear takes uint8, which is what it takes without a zero point."""
    if dequantise is None or len(dequantise.inputs) < 3:
        return True
    return _unsigned_constant(graph, dequantise.inputs[2])


def _unsigned_constant(graph: StoredGraph, name: str) -> bool:
    constant = graph.constants.get(name)
    return constant is None or constant.dtype == np.uint8
