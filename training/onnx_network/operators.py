"""ONNX operators in torch, differentiable: those that carry weights and those of shape chains.

Every operator takes its values as tensors, weights included, so that what is trained are the
graph's own initializers. What is not here is left to onnx2torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from onnx import TensorProto
from torch import Tensor

DTYPES = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.UINT8: torch.uint8,
    TensorProto.BOOL: torch.bool,
}


class UntrainableError(Exception):
    """A graph cannot be trained, for a reason that the message names."""


class UnfitWeightsError(UntrainableError):
    """Weights of a graph are of a kind, or have values, that nothing can be learned from."""


@dataclass(frozen=True)
class Call:
    """One operator of a graph at work."""

    inputs: tuple[Tensor | None, ...]
    """Values; None for an optional one that is left out."""
    attributes: dict[str, Any]
    training: bool

    def __getitem__(self, index: int) -> Tensor:
        value = self.inputs[index]
        if value is None:
            raise UntrainableError(f"input {index} is left out")
        return value

    def optional(self, index: int) -> Tensor | None:
        """Returns an input that may be left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def numbers(self, index: int, attribute: str) -> list[int] | None:
        """Returns whole numbers that older operator sets have as an attribute."""
        value = self.optional(index)
        if value is not None:
            return [int(number) for number in value.reshape(-1).tolist()]
        given = self.attributes.get(attribute)
        return None if given is None else [int(number) for number in given]

    def get(self, attribute: str, default: Any) -> Any:
        """Returns an attribute or its default."""
        return self.attributes.get(attribute, default)


Operator = Callable[[Call], Tensor]
OPERATORS: dict[str, Operator] = {}


def _operator(*names: str) -> Callable[[Operator], Operator]:
    def add(function: Operator) -> Operator:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return add


def _simple(names: dict[str, Callable[..., Tensor]], count: int) -> None:
    for name, function in names.items():
        OPERATORS[name] = partial(_plain, function, count)


def _plain(function: Callable[..., Tensor], count: int, call: Call) -> Tensor:
    return function(*(call[i] for i in range(count)))


_simple({"Relu": torch.relu, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Erf": torch.erf}, 1)
_simple({"Sqrt": torch.sqrt, "Exp": torch.exp, "Log": torch.log, "Neg": torch.neg}, 1)
_simple({"Abs": torch.abs, "Reciprocal": torch.reciprocal}, 1)
_simple({"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Pow": torch.pow}, 2)
_simple({"MatMul": torch.matmul, "Equal": torch.eq, "PRelu": lambda x, a: _prelu(x, a)}, 2)
_simple({"Where": torch.where}, 3)
OPERATORS["Identity"] = OPERATORS["Dropout"] = lambda call: call[0]


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, x * slope, x)


@_operator("Div")
def _div(call: Call) -> Tensor:
    whole = not (call[0].is_floating_point() or call[1].is_floating_point())
    return torch.div(call[0], call[1], rounding_mode="trunc" if whole else None)


@_operator("Conv")
def _conv(call: Call) -> Tensor:
    x, weight = call[0], call[1]
    rank = weight.ndim - 2
    strides = call.get("strides", [1] * rank)
    dilations = call.get("dilations", [1] * rank)
    begin, end = _pads(call, x, weight.shape[2:], strides, dilations)
    convolutions: tuple[Callable[..., Tensor], ...] = (F.conv1d, F.conv2d, F.conv3d)
    if begin != end:
        x = F.pad(x, [side for pair in zip(begin[::-1], end[::-1], strict=True) for side in pair])
        begin = [0] * rank
    groups = call.get("group", 1)
    return convolutions[rank - 1](x, weight, call.optional(2), strides, begin, dilations, groups)


def _pads(
    call: Call, x: Tensor, kernel: torch.Size, strides: list[int], dilations: list[int]
) -> tuple[list[int], list[int]]:
    """Padding before and after each axis; ``auto_pad`` is older than ``pads``."""
    rank, mode = len(kernel), call.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", "VALID"):
        pads = call.get("pads", [0] * (2 * rank)) if mode == "NOTSET" else [0] * (2 * rank)
        return list(pads[:rank]), list(pads[rank:])
    total = [
        max(0, (-(-size // stride) - 1) * stride + (side - 1) * dilation + 1 - size)
        for size, side, stride, dilation in zip(
            x.shape[2:], kernel, strides, dilations, strict=True
        )
    ]
    small, large = [pad // 2 for pad in total], [pad - pad // 2 for pad in total]
    return (small, large) if mode == "SAME_UPPER" else (large, small)


@_operator("Gemm")
def _gemm(call: Call) -> Tensor:
    a = call[0].T if call.get("transA", 0) else call[0]
    b = call[1].T if call.get("transB", 0) else call[1]
    product = float(call.get("alpha", 1.0)) * (a @ b)
    c = call.optional(2)
    return product if c is None else product + float(call.get("beta", 1.0)) * c


@_operator("BatchNormalization")
def _batch_norm(call: Call) -> Tensor:
    """Normalises by the batch in training, any rank from (N, C) on; moves the running values."""
    return F.batch_norm(
        call[0],
        call[3],
        call[4],
        call[1],
        call[2],
        training=call.training and len(call[0]) > 1,
        momentum=1 - call.get("momentum", 0.9),
        eps=call.get("epsilon", 1e-5),
    )


@_operator("LayerNormalization")
def _layer_norm(call: Call) -> Tensor:
    axis = call.get("axis", -1) % call[0].ndim
    shape = list(call[0].shape[axis:])
    bias = call.optional(2)
    return F.layer_norm(
        call[0],
        shape,
        call[1].reshape(shape),
        None if bias is None else bias.reshape(shape),
        call.get("epsilon", 1e-5),
    )


@_operator("InstanceNormalization")
def _instance_norm(call: Call) -> Tensor:
    eps = call.get("epsilon", 1e-5)
    return F.instance_norm(call[0], weight=call[1], bias=call[2], eps=eps)


@_operator("GlobalAveragePool")
def _global_average(call: Call) -> Tensor:
    return call[0].mean(dim=tuple(range(2, call[0].ndim)), keepdim=True)


@_operator("GlobalMaxPool")
def _global_max(call: Call) -> Tensor:
    return call[0].amax(dim=tuple(range(2, call[0].ndim)), keepdim=True)


def _reduction(name: str, reduce: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> None:
    def operator(call: Call) -> Tensor:
        axes = call.numbers(1, "axes")
        if axes is None:
            if call.get("noop_with_empty_axes", 0):
                return call[0]
            axes = list(range(call[0].ndim))
        return reduce(call[0], tuple(axes), bool(call.get("keepdims", 1)))

    OPERATORS[name] = operator


_reduction("ReduceMean", lambda x, axes, keep: x.mean(axes, keep))
_reduction("ReduceSum", lambda x, axes, keep: x.sum(axes, keep))
_reduction("ReduceMax", lambda x, axes, keep: x.amax(axes, keep))
_reduction("ReduceMin", lambda x, axes, keep: x.amin(axes, keep))
_reduction("ReduceSumSquare", lambda x, axes, keep: x.square().sum(axes, keep))
_reduction("ReduceL2", lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep))
_reduction("ReduceL1", lambda x, axes, keep: x.abs().sum(axes, keep))


@_operator("LpNormalization")
def _lp_normalise(call: Call) -> Tensor:
    return F.normalize(call[0], float(call.get("p", 2)), int(call.get("axis", -1)))


@_operator("Clip")
def _clip(call: Call) -> Tensor:
    low, high = call.optional(1), call.optional(2)
    least = call.attributes.get("min") if low is None else low.item()
    most = call.attributes.get("max") if high is None else high.item()
    return call[0] if least is None and most is None else torch.clamp(call[0], least, most)


@_operator("Max")
def _max(call: Call) -> Tensor:
    value = call[0]
    for index in range(1, len(call.inputs)):
        value = torch.maximum(value, call[index])
    return value


@_operator("Shape")
def _shape(call: Call) -> Tensor:
    sides = list(call[0].shape)[call.get("start", 0) : call.attributes.get("end")]
    return torch.tensor(sides, dtype=torch.int64, device=call[0].device)


@_operator("Gather")
def _gather(call: Call) -> Tensor:
    x, indices = call[0], call[1]
    axis = call.get("axis", 0) % x.ndim
    wrapped = torch.where(indices < 0, indices + x.shape[axis], indices)
    chosen = torch.index_select(x, axis, wrapped.reshape(-1).long())
    return chosen.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


@_operator("Unsqueeze")
def _unsqueeze(call: Call) -> Tensor:
    axes = call.numbers(1, "axes") or []
    rank = call[0].ndim + len(axes)
    value = call[0]
    for axis in sorted(axis % rank for axis in axes):
        value = value.unsqueeze(axis)
    return value


@_operator("Squeeze")
def _squeeze(call: Call) -> Tensor:
    axes = call.numbers(1, "axes")
    return call[0].squeeze() if axes is None else call[0].squeeze(tuple(axes))


@_operator("Concat")
def _concat(call: Call) -> Tensor:
    return torch.cat([call[i] for i in range(len(call.inputs))], dim=call.get("axis", 0))


@_operator("Reshape")
def _reshape(call: Call) -> Tensor:
    target = call.numbers(1, "shape") or []
    if not call.get("allowzero", 0):
        target = [side or call[0].shape[axis] for axis, side in enumerate(target)]
    return call[0].reshape(target)


@_operator("Flatten")
def _flatten(call: Call) -> Tensor:
    axis = call.get("axis", 1)
    rows = int(torch.tensor(call[0].shape[:axis]).prod())
    return call[0].reshape(rows, -1)


@_operator("Transpose")
def _transpose(call: Call) -> Tensor:
    return call[0].permute(call.get("perm", list(range(call[0].ndim))[::-1]))


@_operator("Expand")
def _expand(call: Call) -> Tensor:
    target = call.numbers(1, "shape") or []
    rank = max(call[0].ndim, len(target))
    sides = [1] * (rank - call[0].ndim) + list(call[0].shape)
    wanted = [1] * (rank - len(target)) + target
    return call[0].expand([max(pair) for pair in zip(sides, wanted, strict=True)])


@_operator("ConstantOfShape")
def _constant_of_shape(call: Call) -> Tensor:
    value = call.attributes.get("value", torch.zeros(1))
    filled: Tensor = value.to(call[0].device).expand([int(side) for side in call[0].tolist()])
    return filled


@_operator("Cast")
def _cast(call: Call) -> Tensor:
    dtype = DTYPES.get(call.attributes["to"])
    if dtype is None:
        raise UntrainableError(f"casts to {TensorProto.DataType.Name(call.attributes['to'])}")
    return call[0].to(dtype)


@_operator("Slice")
def _slice(call: Call) -> Tensor:
    starts, ends = call.numbers(1, "starts") or [], call.numbers(2, "ends") or []
    axes = call.numbers(3, "axes") or list(range(len(starts)))
    steps = call.numbers(4, "steps") or [1] * len(starts)
    value = call[0]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        rows = range(value.shape[axis])[start:end:step]
        index = torch.tensor(list(rows), dtype=torch.int64, device=value.device)
        value = torch.index_select(value, axis % value.ndim, index)
    return value
