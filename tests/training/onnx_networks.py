"""Small networks as others export them: uint8 crops to features, one of each spelling."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HEIGHT, WIDTH = 32, 16
CHANNELS, DIM = 8, 12


class Graph:
    """Nodes and weights of a graph under way."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, values: Any, kind: Any = np.float32) -> str:
        """Adds an initializer."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def normal(self, *shape: int, scale: float = 0.4) -> str:
        """Adds random weights."""
        return self.constant(self.random.normal(0, scale, shape))

    def add(self, operator: str, inputs: list[str], outputs: int = 1, **attributes: Any) -> str:
        """Adds a node and returns the name of its first output."""
        names = [f"v{len(self.nodes)}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0]

    def image(self) -> str:
        """Adds what a bundle's graph begins with: uint8 N x H x W x 3 to N x 3 x H x W."""
        values = self.add("Cast", ["input"], to=TensorProto.FLOAT)
        values = self.add("Mul", [values, self.constant([1 / 58, 1 / 57, 1 / 57])])
        values = self.add("Sub", [values, self.constant([2.1, 2.0, 1.8])])
        return self.add("Transpose", [values], perm=[0, 3, 1, 2])

    def convolution(self, values: str, inputs: int = 3, bias: bool = True) -> str:
        """Adds a 3 x 3 convolution of stride 2."""
        operands = [values, self.normal(CHANNELS, inputs, 3, 3)]
        if bias:
            operands.append(self.normal(CHANNELS, scale=0.1))
        return self.add("Conv", operands, pads=[1] * 4, strides=[2, 2])

    def norm(self, values: str, size: int) -> str:
        """Adds a batch normalisation with running values of its own."""
        positive = [self.constant(self.random.uniform(0.5, 1.5, size)) for _ in range(2)]
        operands = [values, positive[0], self.normal(size), self.normal(size), positive[1]]
        return self.add("BatchNormalization", operands, epsilon=1e-5)

    def model(self, last: str, dim: int = DIM, opset: int = 17) -> onnx.ModelProto:
        """Ends the graph."""
        self.nodes.append(helper.make_node("Identity", [last], ["output"]))
        graph = helper.make_graph(
            self.nodes,
            "made",
            [helper.make_tensor_value_info("input", TensorProto.UINT8, ["n", HEIGHT, WIDTH, 3])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", dim])],
            self.weights,
        )
        opsets = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        onnx.checker.check_model(model)
        return model


def torchreid() -> onnx.ModelProto:
    """Convolutions, a Shape and Gather chain before Reshape, FC, 1-D batch norm, ReLU."""
    graph = Graph(1)
    values = graph.add("Relu", [graph.convolution(graph.image())])
    values = graph.add("MaxPool", [values], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    gate = graph.add("Sigmoid", [graph.add("GlobalAveragePool", [values])])
    values = graph.add("GlobalAveragePool", [graph.add("Mul", [values, gate])])
    rows = graph.add("Gather", [graph.add("Shape", [values]), graph.constant(0, np.int64)])
    rows = graph.add("Unsqueeze", [rows, graph.constant([0], np.int64)])
    target = graph.add("Concat", [rows, graph.constant([-1], np.int64)], axis=0)
    values = graph.add("Reshape", [values, target])
    operands = [values, graph.normal(DIM, CHANNELS), graph.normal(DIM)]
    values = graph.norm(graph.add("Gemm", operands, transB=1), DIM)
    return graph.model(graph.add("Relu", [values]), opset=13)


def fastreid() -> onnx.ModelProto:
    """Batch norms that are not folded, pooling as ReduceMean, the feature of length 1."""
    graph = Graph(2)
    values = graph.norm(graph.convolution(graph.image(), bias=False), CHANNELS)
    values = graph.add("LeakyRelu", [values], alpha=0.1)
    values = graph.add("ReduceMean", [values], axes=[2, 3], keepdims=1)
    values = graph.add("Conv", [graph.norm(values, CHANNELS), graph.normal(DIM, CHANNELS, 1, 1)])
    values = graph.add("Flatten", [values], axis=1)
    length = graph.add("ReduceL2", [values], axes=[1], keepdims=1)
    length = graph.add("Clip", [length, graph.constant(1e-12)])
    length = graph.add("Expand", [length, graph.add("Shape", [values])])
    return graph.model(graph.add("Div", [values, length]))


def shared() -> onnx.ModelProto:
    """Equal constants kept once, as exporters do, some behind Identity; nodes without names."""
    graph = Graph(7)
    zeros, units = graph.constant(np.zeros(CHANNELS)), graph.constant(np.ones(CHANNELS))
    behind = [graph.add("Identity", [name]) for name in (units, zeros, zeros, units)]
    values = graph.convolution(graph.image(), bias=False)
    for operands in ([units, zeros, zeros, units], behind):
        values = graph.add("Clip", [graph.add("BatchNormalization", [values, *operands])])
        values = graph.add("LeakyRelu", [values], alpha=0.1)
        values = graph.add("Conv", [values, graph.normal(CHANNELS, CHANNELS, 3, 3)])
    graph.nodes[-2].name = "LeakyRelu_1"  # that of the second one without a name, by its number
    values = graph.add("LeakyRelu", [values], alpha=0.1)
    return graph.model(_pooled(graph, values), CHANNELS)


def openvino() -> onnx.ModelProto:
    """Weights as Constant nodes, MatMul and Add for FC, PReLU, average pooling."""
    graph = Graph(3)
    image = graph.image()

    def node(values: np.ndarray) -> str:
        tensor = numpy_helper.from_array(values.astype(np.float32))
        return graph.add("Constant", [], value=tensor)

    kernel = node(graph.random.normal(0, 0.4, (CHANNELS, 3, 3, 3)))
    values = graph.add("Conv", [image, kernel], auto_pad="SAME_UPPER", strides=[2, 2])
    values = graph.add("PRelu", [values, node(graph.random.uniform(0, 0.3, (CHANNELS, 1, 1)))])
    values = graph.add("AveragePool", [values], kernel_shape=[16, 8])
    values = graph.add("Squeeze", [values, graph.constant([2, 3], np.int64)])
    turned = graph.add("Transpose", [node(graph.random.normal(0, 1, (DIM, CHANNELS)))], perm=[1, 0])
    values = graph.add("MatMul", [values, turned])
    return graph.model(graph.add("Add", [values, node(graph.random.normal(0, 1, DIM))]))


def transformer() -> onnx.ModelProto:
    """Patches, LayerNorm, attention with Split and Softmax, GELU by Erf, the first token."""
    graph = Graph(4)
    kernel = graph.normal(CHANNELS, 3, 8, 8, scale=0.1)
    patches = graph.add("Conv", [graph.image(), kernel], strides=[8, 8])
    tokens = graph.add("Reshape", [patches, graph.constant([0, CHANNELS, -1], np.int64)])
    tokens = graph.add("Transpose", [tokens], perm=[0, 2, 1])
    operands = [tokens, graph.normal(CHANNELS), graph.normal(CHANNELS)]
    values = graph.add("LayerNormalization", operands, axis=-1)
    values = graph.add("MatMul", [values, graph.normal(CHANNELS, 3 * CHANNELS)])
    first = graph.add("Split", [values], outputs=3, axis=2)
    query, key, value = (first[:-1] + str(i) for i in range(3))
    scores = graph.add("MatMul", [query, graph.add("Transpose", [key], perm=[0, 2, 1])])
    scores = graph.add("Div", [scores, graph.constant(np.sqrt(CHANNELS))])
    tokens = graph.add("Add", [tokens, graph.add("MatMul", [_soft(graph, scores), value])])
    grown = graph.add("MatMul", [tokens, graph.normal(CHANNELS, DIM)])
    grown = graph.add("Add", [grown, graph.normal(DIM)])
    erf = graph.add("Erf", [graph.add("Div", [grown, graph.constant(np.sqrt(2))])])
    half = graph.add("Mul", [grown, graph.constant(0.5)])
    grown = graph.add("Mul", [half, graph.add("Add", [erf, graph.constant(1.0)])])
    token = graph.add("Gather", [grown, graph.constant(0, np.int64)], axis=1)
    return graph.model(token)


def _soft(graph: Graph, scores: str) -> str:
    return graph.add("Softmax", [scores], axis=-1)


def bare(operator: str, **attributes: Any) -> onnx.ModelProto:
    """A convolution and an operator behind it, pooled."""
    graph = Graph(5)
    values = graph.add(operator, [graph.convolution(graph.image())], **attributes)
    return graph.model(_pooled(graph, values), CHANNELS)


def dense(weights: np.ndarray | None = None) -> onnx.ModelProto:
    """A convolution, ReLU and mean: the least that can be trained; ``weights`` of its kernel."""
    graph = Graph(6)
    values = graph.image()
    kernel = graph.normal(CHANNELS, 3, 3, 3)
    if weights is not None:
        kernel = graph.constant(weights, weights.dtype)
    values = graph.add("Relu", [graph.add("Conv", [values, kernel], pads=[1] * 4)])
    return graph.model(_pooled(graph, values), CHANNELS)


def computed_running() -> onnx.ModelProto:
    """A batch normalisation of which the running variance is computed in the graph."""
    graph = Graph(8)
    units = graph.constant(np.ones(CHANNELS))
    operands = [graph.convolution(graph.image()), units, graph.constant(np.zeros(CHANNELS)), units]
    values = graph.add("BatchNormalization", [*operands, graph.add("Exp", [units])])
    return graph.model(_pooled(graph, values), CHANNELS)


def _pooled(graph: Graph, values: str) -> str:
    return graph.add("Flatten", [graph.add("GlobalAveragePool", [values])], axis=1)
