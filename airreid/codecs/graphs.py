"""Closed-form codes as ONNX graphs, written without torch. Needs the package ``onnx``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from airreid.codecs.decoding import LinearDecoder
from airreid.codecs.linear import LinearCode
from airreid.codecs.nested import NestedCode
from airreid.errors import ParityError
from airreid.inference import Network
from airreid.signal import EPSILON

OPSET, IR_VERSION = 17, 8
TOLERANCE = 1e-4
"""Largest difference between a written graph and NumPy, relative to the output's RMS."""


def write_encoder(code: LinearCode, path: Path) -> None:
    """Writes ``features (N, D) -> symbols (N, B)`` of a code, each row of mean power 1."""
    power = np.asarray(np.sqrt(code.bandwidth), np.float32)
    graph = _Graph()
    projected = _projection(graph, code)
    unit = graph.unit_rows(projected)
    graph.save("Mul", [unit, graph.constant(power)], code.matrix.shape[0], code.bandwidth, path)


def write_nested_encoder(code: NestedCode, path: Path) -> None:
    """Writes ``features (N, D) -> symbols (N, B)`` of a code in pieces, each of mean power 1."""
    graph = _Graph()
    pieces = graph.reshaped(_projection(graph, code), code.piece)
    power = graph.constant(np.asarray(np.sqrt(code.piece), np.float32))
    symbols = graph.add("Mul", [graph.unit_rows(pieces), power])
    shape = graph.constant(np.asarray([-1, code.bandwidth], np.int64))
    graph.save("Reshape", [symbols, shape], code.matrix.shape[0], code.bandwidth, path)


def write_latent_encoder(code: LinearCode, step: float, path: Path) -> None:
    """Writes ``features (N, D) -> latent (N, d)``: the projection in units of ``step``."""
    graph = _Graph()
    projected = _projection(graph, code)
    scale = graph.constant(np.asarray(1.0 / step, np.float32))
    graph.save("Mul", [projected, scale], code.matrix.shape[0], code.bandwidth, path)


def write_decoder(decoder: LinearDecoder, path: Path) -> None:
    """Writes ``received (N, B) -> embeddings (N, D)``."""
    graph = _Graph()
    rows, columns = decoder.matrix.shape
    graph.save("MatMul", ["input", graph.constant(decoder.matrix)], rows, columns, path)


def check_graph(path: Path, inputs: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Largest difference between a written graph and what NumPy gives, relative to the RMS.

    Raises :class:`ParityError` above :data:`TOLERANCE`.
    """
    difference = np.abs(Network(path, threads=1)(inputs) - expected).max()
    scale = max(1e-12, float(np.sqrt(np.square(expected).mean())))
    relative = float(difference) / scale
    if not relative <= TOLERANCE:
        raise ParityError(f"{path}: differs from NumPy by {relative:.1e}")
    return relative


class _Graph:
    """Nodes and constants of one graph with input ``input`` and output ``output``."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, values: NDArray[np.generic]) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, operator: str, inputs: list[str], **attributes: list[int] | int) -> str:
        name = f"node{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))  # type: ignore[arg-type]
        return name

    def reshaped(self, rows: str, columns: int) -> str:
        """Values of some rows as rows of ``columns`` values."""
        return self.add("Reshape", [rows, self.constant(np.asarray([-1, columns], np.int64))])

    def unit_rows(self, rows: str) -> str:
        """Rows divided by their length, which is at least :data:`airreid.signal.EPSILON`."""
        length = self.add("ReduceL2", [rows], axes=[1], keepdims=1)
        floor = self.constant(np.asarray(EPSILON, np.float32))
        return self.add("Div", [rows, self.add("Max", [length, floor])])

    def save(self, operator: str, inputs: list[str], rows: int, columns: int, path: Path) -> None:
        """Ends the graph with an operator and writes it, input (N, rows), output (N, columns)."""
        self._nodes.append(helper.make_node(operator, inputs, ["output"], "output"))
        graph = helper.make_graph(
            self._nodes,
            path.stem,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", rows])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", columns])],
            self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def _projection(graph: _Graph, code: LinearCode) -> str:
    centred = graph.add("Sub", [graph.unit_rows("input"), graph.constant(code.mean)])
    return graph.add("MatMul", [centred, graph.constant(code.matrix)])
