"""The part of ONNX files that a check of their weights needs, read without the package ``onnx``.

An edge and an access point have protobuf and ONNX Runtime, and no ``onnx``. The messages declared
here are those of ``onnx.proto`` with most of their fields left out, which protobuf skips.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from airreid.disk import read_given
from airreid.errors import BundleError
from airreid.onnx_reach import GRAPH_BYTES_MAX

UINT8, INT8 = 2, 3
"""Numbers of the types in ``TensorProto.DataType``."""
_DTYPES = {UINT8: np.dtype(np.uint8), INT8: np.dtype(np.int8)}
_Field = descriptor_pb2.FieldDescriptorProto
_FIELDS: dict[str, dict[str, tuple[int, int, bool, str]]] = {
    # name: (number, type, repeated, message)
    "Model": {"graph": (7, _Field.TYPE_MESSAGE, False, "Graph")},
    "Graph": {
        "node": (1, _Field.TYPE_MESSAGE, True, "Node"),
        "initializer": (5, _Field.TYPE_MESSAGE, True, "Tensor"),
    },
    "Node": {
        "input": (1, _Field.TYPE_STRING, True, ""),
        "output": (2, _Field.TYPE_STRING, True, ""),
        "op_type": (4, _Field.TYPE_STRING, False, ""),
    },
    "Tensor": {
        "data_type": (2, _Field.TYPE_INT32, False, ""),
        "int32_data": (5, _Field.TYPE_INT32, True, ""),
        "name": (8, _Field.TYPE_STRING, False, ""),
        "raw_data": (9, _Field.TYPE_BYTES, False, ""),
    },
}


@dataclass(frozen=True)
class Node:
    """An operator of a graph."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class StoredGraph:
    """Operators of a file, and those of its constants that are 8-bit integers, flat."""

    nodes: tuple[Node, ...]
    constants: dict[str, NDArray[np.integer]]


def read_graph(path: Path) -> StoredGraph:
    """Reads a graph's operators and 8-bit constants.

    Raises :class:`BundleError` for a file that is not ONNX.
    """
    model = _message("Model")()
    try:
        model.ParseFromString(read_given(path, GRAPH_BYTES_MAX))
    except DecodeError:
        raise BundleError(f"{path}: not an ONNX file; copy the bundle again") from None
    nodes = [Node(n.op_type, tuple(n.input), tuple(n.output)) for n in model.graph.node]
    constants = {
        tensor.name: _values(tensor)
        for tensor in model.graph.initializer
        if tensor.data_type in _DTYPES
    }
    return StoredGraph(tuple(nodes), constants)


def _values(tensor: Any) -> NDArray[np.integer]:
    dtype = _DTYPES[tensor.data_type]
    if tensor.raw_data:
        return np.frombuffer(tensor.raw_data, dtype)
    return np.asarray(tensor.int32_data, np.int32).astype(dtype)


def _message(name: str) -> Any:
    """The class of a message of :data:`_FIELDS`."""
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="part.proto", package="part", syntax="proto2")
    for kind, fields in _FIELDS.items():
        message = file.message_type.add(name=kind)
        for field, (number, field_type, repeated, inner) in fields.items():
            message.field.add(
                name=field,
                number=number,
                type=field_type,
                label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL,
                type_name=f".part.{inner}" if inner else None,
            )
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"part.{name}"))
