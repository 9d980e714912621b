"""An ONNX graph as a torch module whose parameters are the graph's own initializers."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnx2torch.node_converters import get_converter
from onnx2torch.onnx_graph import OnnxGraph
from torch import Tensor, nn

from training.onnx_network.operators import (
    OPERATORS,
    Call,
    UnfitWeightsError,
    UntrainableError,
)

Extract = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Crops (n, H, W, 3) to features (n, D), by ONNX Runtime."""
TOLERANCE = 1e-3
"""Largest difference of the module from ONNX Runtime, relative to the feature's RMS."""
_WEIGHTS = {
    "Conv": (1, 2),
    "Gemm": (0, 1, 2),
    "MatMul": (0, 1),
    "BatchNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "PRelu": (1,),
}
"""Operator to the inputs that are weights wherever they are constants."""
_RUNNING = (3, 4)
"""Inputs of a batch normalisation that are its running mean and variance."""
_ELEMENTWISE = ("Add", "Sub", "Mul", "Div")
_SMALLEST = 8
"""Values of an element-wise constant from which on it is a weight; fewer are the mean and
deviation of three colours, an epsilon or a factor."""
_CARRIERS = ("Identity", "Transpose", "Reshape", "Unsqueeze", "Squeeze", "Cast", "Flatten")
"""Operators through which a constant stays a weight."""


class OnnxModule(nn.Module):
    """Crops (N, H, W, 3), 0..255 -> features (N, D), as the graph of a bundle computes them.

    In training mode batch normalisations use their batch and move their running values.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        """``model``: uint8 crops to features. Raises :class:`UntrainableError`."""
        super().__init__()
        self.model = with_constants_hoisted(model)
        graph = self.model.graph
        _check_running(graph)
        self._input, self._output = graph.input[0].name, graph.output[0].name
        self._attributes: dict[str, str] = {}
        trained, running = _weight_names(graph), set(_running_names(graph))
        for number, tensor in enumerate(graph.initializer):
            self._register(number, tensor, trained, running)
        if not list(self.parameters()):
            raise UntrainableError("the graph has no weights")
        self._nodes = list(graph.node)
        self._others = nn.ModuleDict()
        """Operators that onnx2torch makes, by the node's number."""
        self._other_inputs: dict[str, tuple[str, ...]] = {}
        self._convert_others()
        self._last_use = _last_uses(self._nodes, self._output)

    def _register(
        self, number: int, tensor: onnx.TensorProto, trained: set[str], running: set[str]
    ) -> None:
        if tensor.data_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
            raise UnfitWeightsError("it is in half precision; export it in float32")
        value = torch.from_numpy(numpy_helper.to_array(tensor).copy())
        finite = not value.is_floating_point() or bool(torch.isfinite(value).all())
        if tensor.name in trained | running and not finite:
            raise UnfitWeightsError(f"weight {tensor.name} has values that are not finite")
        attribute = f"weight{number}"
        if tensor.name in trained and value.dtype == torch.float32:
            self.register_parameter(attribute, nn.Parameter(value))
        else:
            self.register_buffer(attribute, value, persistent=tensor.name in running)
        self._attributes[tensor.name] = attribute

    def _convert_others(self) -> None:
        missing = [(i, node) for i, node in enumerate(self._nodes) if _unknown(node)]
        if not missing:
            return
        inferred = onnx.shape_inference.infer_shapes(self.model)
        for number, node in enumerate(inferred.graph.node):
            node.name = f"node{number}"  # onnx2torch needs names, all different
        graph = OnnxGraph(inferred.graph)
        versions = {opset.domain: opset.version for opset in self.model.opset_import}
        described = dict(zip(range(len(self._nodes)), graph.nodes.values(), strict=True))
        for number, node in missing:
            if any(a.type in (onnx.AttributeProto.GRAPH,) for a in node.attribute):
                raise UntrainableError(f"operator {node.op_type} has graphs inside")
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    convert = get_converter(node.op_type, versions[node.domain], node.domain)
                    module, mapping = convert(described[number], graph)
            except Exception as error:  # of any class, by another library
                raise UntrainableError(f"operator {node.op_type} ({_short(error)})") from None
            for parameter in module.parameters():
                parameter.requires_grad_(False)  # a copy, which could not be written back
            self._others[str(number)] = module
            self._other_inputs[str(number)] = tuple(mapping.inputs)

    def forward(self, crops: Tensor) -> Tensor:
        values: dict[str, Any] = {self._input: crops}
        for number, node in enumerate(self._nodes):
            try:
                outputs = self._run(number, node, values)
            except Exception as error:  # of torch and onnx2torch: of any class
                raise UntrainableError(f"operator {node.op_type}: {_short(error)}") from None
            values.update(zip(node.output, outputs, strict=False))
            for name in self._last_use[number]:
                values.pop(name, None)
        feature: Tensor = values[self._output]
        return feature.float()

    def _run(self, number: int, node: onnx.NodeProto, values: dict[str, Any]) -> tuple[Any, ...]:
        if str(number) in self._other_inputs:
            given = [self._value(name, values) for name in self._other_inputs[str(number)]]
            while given and given[-1] is None:
                given.pop()
            result = self._others[str(number)](*given)
            return tuple(result) if isinstance(result, list | tuple) else (result,)
        inputs = tuple(self._value(name, values) for name in node.input)
        call = Call(inputs, _attributes(node), self.training)
        return (OPERATORS[node.op_type](call),)

    def _value(self, name: str, values: dict[str, Any]) -> Tensor | None:
        if name in values:
            value: Tensor = values[name]
            return value
        if name in self._attributes:
            stored: Tensor = getattr(self, self._attributes[name])
            return stored
        if not name:
            return None
        raise UntrainableError(f"value {name} comes from nowhere")

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Yields every weight and running value with the name of its initializer."""
        state = self.state_dict()
        for name, attribute in self._attributes.items():
            if attribute in state:
                yield name, state[attribute]

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copies every weight and running value by the name of its initializer."""
        return {name: value.cpu().numpy().copy() for name, value in self.named_weights()}


def with_weights(
    model: onnx.ModelProto, weights: dict[str, NDArray[np.float32]]
) -> onnx.ModelProto:
    """Returns the graph with other values of its weights, and nothing else changed.

    ``weights``: as :meth:`OnnxModule.weights` names them.
    """
    changed = with_constants_hoisted(model)
    for tensor in changed.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name], tensor.name))
    return changed


def averaged(
    public: dict[str, NDArray[np.float32]], trained: dict[str, NDArray[np.float32]], share: float
) -> dict[str, NDArray[np.float32]]:
    """Mixes weights of one graph: ``share`` of the trained ones, the rest of the public ones."""
    return {
        name: np.asarray((1 - share) * public[name] + share * trained[name], np.float32)
        for name in public
    }


def difference(module: OnnxModule, network: Extract, crops: NDArray[np.uint8]) -> float:
    """Largest difference of the module from ONNX Runtime on crops, relative to the RMS."""
    expected = network(crops)
    device = next(module.parameters()).device
    with torch.no_grad():
        features = module.eval()(torch.from_numpy(crops).to(device)).cpu().numpy()
    scale = max(1e-12, float(np.sqrt(np.square(expected).mean())))
    return float(np.abs(features - expected).max()) / scale


def trainable(model: onnx.ModelProto, network: Extract, crops: NDArray[np.uint8]) -> OnnxModule:
    """Makes the module of a graph and proves it before the first step.

    ``network``: the same graph in ONNX Runtime; ``crops``: uint8 (n, H, W, 3), two or more. Raises
    :class:`UntrainableError` that names the operator that cannot be trained, the difference from
    ONNX Runtime, or that no gradient reaches the weights.
    """
    try:
        module = OnnxModule(model)
        drift = difference(module, network, crops)
        if not drift <= TOLERANCE:
            raise UntrainableError(f"in torch its features differ by {drift:.1e} from ONNX Runtime")
        state = {name: value.clone() for name, value in module.state_dict().items()}
        feature = module.train()(torch.from_numpy(crops).float())
        feature.square().mean().backward()
    except UntrainableError:
        raise
    except Exception as error:  # graphs of any operators: of any class
        raise UntrainableError(f"{type(error).__name__}: {_short(error)}") from None
    gradients = [p.grad for p in module.parameters() if p.requires_grad and p.grad is not None]
    if not gradients or not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
        raise UntrainableError("no finite gradient reaches its weights")
    module.zero_grad(set_to_none=True)
    module.load_state_dict(state)  # running values, which the training pass has moved
    return module.eval()


def with_constants_hoisted(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy of the graph in which every constant tensor is an initializer.

    Running values of a batch normalisation are its own: exporters let equal constants share one
    initializer, which training would move for all of them.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph, nodes = copy.graph, []
    for node in graph.node:
        tensor = _constant(node)
        if tensor is None:
            nodes.append(node)
        else:
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
    del graph.node[:]
    graph.node.extend(nodes)
    _unshare_running(graph)
    return copy


def _unshare_running(graph: onnx.GraphProto) -> None:
    """Gives each batch normalisation running values that nothing else uses."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    sources = {name: name for name in tensors}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in sources:
            sources[node.output[0]] = sources[node.input[0]]
    uses = Counter(name for node in graph.node for name in node.input)
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            continue
        for place in _RUNNING:
            name = node.input[place]
            if name not in sources or (name in tensors and uses[name] == 1):
                continue
            copy = graph.initializer.add()
            copy.CopyFrom(tensors[sources[name]])
            copy.name = node.input[place] = f"{sources[name]}/{place}/{node.output[0]}"


def _check_running(graph: onnx.GraphProto) -> None:
    """Raises :class:`UntrainableError` for running values that training could not move."""
    names = {tensor.name for tensor in graph.initializer}
    if not names.issuperset(_running_names(graph)):
        raise UntrainableError("operator BatchNormalization: its running values are computed")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    if node.op_type != "Constant":
        return None
    attribute = node.attribute[0]
    if attribute.name == "value":
        copy = onnx.TensorProto()
        copy.CopyFrom(attribute.t)
        return copy
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.name in ("value_float", "value_floats"):
        return numpy_helper.from_array(np.asarray(value, np.float32), node.output[0])
    if attribute.name in ("value_int", "value_ints"):
        return numpy_helper.from_array(np.asarray(value, np.int64), node.output[0])
    return None


def _unknown(node: onnx.NodeProto) -> bool:
    if node.domain not in ("", "ai.onnx"):
        return True
    return node.op_type not in OPERATORS or len([name for name in node.output if name]) > 1


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    for name, value in values.items():
        if isinstance(value, bytes):
            values[name] = value.decode()
        elif isinstance(value, onnx.TensorProto):
            values[name] = torch.from_numpy(numpy_helper.to_array(value).copy())
    return values


def _weight_names(graph: onnx.GraphProto) -> set[str]:
    """Names of the initializers that are trained, by what they are used for."""
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    carried = {name: {name} for name in sizes}
    names: set[str] = set()
    for node in graph.node:
        if node.op_type in _CARRIERS and node.input and node.input[0] in carried:
            carried[node.output[0]] = carried[node.input[0]]
        places: Iterator[int] = iter(_WEIGHTS.get(node.op_type, ()))
        if node.op_type in _ELEMENTWISE:
            places = iter((0, 1))
        for place in places:
            if place < len(node.input):
                initializers = carried.get(node.input[place], set())
                large = all(sizes[name] >= _SMALLEST for name in initializers)
                if node.op_type not in _ELEMENTWISE or large:
                    names |= initializers
    return names


def _running_names(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            yield from (node.input[place] for place in _RUNNING)


def _last_uses(nodes: list[onnx.NodeProto], output: str) -> list[list[str]]:
    """Names of the values that nobody needs any more after each node."""
    last = {name: i for i, node in enumerate(nodes) for name in (*node.input, *node.output) if name}
    uses: list[list[str]] = [[] for _ in nodes]
    for name, number in last.items():
        if name != output:
            uses[number].append(name)
    return uses
