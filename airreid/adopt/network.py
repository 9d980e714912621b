"""A stranger's ONNX network: what it takes, what it gives, and whether it can be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto

from airreid.disk import read_regular
from airreid.errors import BundleError, InputError
from airreid.onnx_reach import GRAPH_BYTES_MAX, check_self_contained

Layout = Literal["nchw", "nhwc"]
MAX_SIDE = 1024
"""Rows or columns of a crop, at most."""
MAX_FEATURE_DIM = 4_096
"""Widest feature: codes need its D x D scatter, whose time grows as D^3 and memory as D^2."""
DType = Literal["float32", "float16", "uint8"]
_TYPES: dict[int, DType] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.UINT8: "uint8",
}
_RESHAPING = ("Identity", "Cast", "Flatten", "Reshape", "Squeeze", "Unsqueeze")
_PROBABILITIES = ("Softmax", "LogSoftmax")
_NUMPY = {"float32": np.float32, "float16": np.float16, "uint8": np.uint8}


@dataclass(frozen=True)
class NetworkInterface:
    """The one image input and the chosen output of a graph."""

    input_name: str
    layout: Layout
    height: int
    width: int
    batch: int | None
    """Images that the graph takes at once; None where their number is free."""
    dtype: DType
    output_name: str

    def shaped(self, crops: NDArray[np.floating]) -> NDArray[Any]:
        """float32 (N, height, width, 3) in the graph's layout and type."""
        values = crops.transpose(0, 3, 1, 2) if self.layout == "nchw" else crops
        return np.ascontiguousarray(values.astype(_NUMPY[self.dtype]))


def load_network(path: Path) -> onnx.ModelProto:
    """Reads an ONNX file.

    Raises :class:`InputError` for a file that is missing, too large, not ONNX, or that keeps its
    weights in other files.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"{path}: not a file; give an exported ONNX network")
        if size > GRAPH_BYTES_MAX:
            raise InputError(
                f"{path}: {size / 1e9:.1f} GB; a network for an edge has at most "
                f"{GRAPH_BYTES_MAX / 1e9:g} GB"
            )
        data = read_regular(path, GRAPH_BYTES_MAX)
        model = onnx.load_model_from_string(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (DecodeError, ValueError):
        raise InputError(
            f"{path}: not an ONNX network; export one, for PyTorch with torch.onnx.export"
        ) from None
    if not model.graph.node:
        raise InputError(f"{path}: an ONNX file without operators; export the network again")
    external = [
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
    ]
    if external:
        raise InputError(
            f"{path}: {len(external)} weights are in files beside it ({external[0]}, ...); save it "
            "as one file, for example with onnx.save(onnx.load(IN), OUT)"
        )
    try:
        check_self_contained(data, str(path))  # constants and functions can do that too
    except BundleError as error:
        raise InputError(str(error)) from None
    return model


def read_interface(
    path: Path,
    model: onnx.ModelProto,
    output: str | None = None,
    size: tuple[int, int] | None = None,
) -> NetworkInterface:
    """Finds a graph's image input and its feature output.

    ``output`` names one of several outputs; ``size`` is (height, width) of the crops, for a graph
    that takes any, or in place of what it declares (:func:`at_size`). Raises :class:`InputError`
    that says what to give where the graph alone does not tell.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise InputError(f"{path}: needs one input, the image; it has {len(inputs)}: {names}")
    tensor = inputs[0].type.tensor_type
    if not tensor.HasField("shape"):
        raise InputError(
            f"{path}: input {inputs[0].name} says no shape; export it as N x 3 x H x W, N free"
        )
    if tensor.elem_type not in _TYPES:
        kind = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise InputError(f"{path}: input {inputs[0].name} is {kind}; use float32, float16 or uint8")
    shape = [
        dimension.dim_value if dimension.HasField("dim_value") else None
        for dimension in tensor.shape.dim
    ]
    if len(shape) != 4:
        raise InputError(
            f"{path}: input {inputs[0].name} has {len(shape)} dimensions; a batch of images has 4"
        )
    layout = _layout(path, shape)
    rows, columns = (shape[side] for side in _places(layout))
    if size is not None:
        rows, columns = size
    if not rows or not columns:
        raise InputError(
            f"{path}: takes images of any size; say with --resize HEIGHTxWIDTH what it was trained "
            "on, for re-identification most often 256x128"
        )
    if not (16 <= rows <= MAX_SIDE and 16 <= columns <= MAX_SIDE):
        raise InputError(f"{path}: images of {rows}x{columns}; each side must be 16 to {MAX_SIDE}")
    return NetworkInterface(
        input_name=inputs[0].name,
        layout=layout,
        height=rows,
        width=columns,
        batch=shape[0] or None,
        dtype=_TYPES[tensor.elem_type],
        output_name=_output(path, model, output),
    )


def at_size(path: Path, model: onnx.ModelProto, interface: NetworkInterface) -> onnx.ModelProto:
    """Returns the graph for crops of the interface's size, which may declare another.

    Exporters write the size of their example into the graph; where all between is convolutions
    and global pooling, another one does as well. Raises :class:`InputError` for a graph that does
    not run at it. The graph itself is returned where it declares that size or none.
    """
    sides = _places(interface.layout)
    declared = _input_shape(model, interface.input_name)
    wanted = (interface.height, interface.width)
    fixed = [declared[side].dim_value for side in sides]
    if all(not side or side == given for side, given in zip(fixed, wanted, strict=True)):
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for side, given in zip(sides, wanted, strict=True):
        _input_shape(changed, interface.input_name)[side].dim_value = given
    del changed.graph.value_info[:]  # sizes of what lies between
    images = np.random.default_rng(0).random((2, *wanted, 3), np.float32)
    try:
        PlainNetwork(path, interface, 1, changed).features(images)
    except InputError as error:
        raise InputError(
            f"{path}: takes images of {_sides(list(fixed))} alone, not of "
            f"{wanted[0]}x{wanted[1]} ({error})"
        ) from None
    return changed


def _places(layout: Layout) -> tuple[int, int]:
    """Places of height and width among the dimensions of an input."""
    return (2, 3) if layout == "nchw" else (1, 2)


def _input_shape(model: onnx.ModelProto, name: str) -> Sequence[onnx.TensorShapeProto.Dimension]:
    (value,) = (value for value in model.graph.input if value.name == name)
    return value.type.tensor_type.shape.dim


def _layout(path: Path, shape: list[int | None]) -> Layout:
    if shape[1] == 3 and shape[3] != 3:
        return "nchw"
    if shape[3] == 3 and shape[1] != 3:
        return "nhwc"
    if shape[1] is None and shape[3] is None:
        return "nchw"  # PyTorch exports with every dimension free
    raise InputError(
        f"{path}: an input of {_sides(shape)}; a colour image is N x 3 x H x W or N x H x W x 3"
    )


def _sides(shape: list[int | None]) -> str:
    return " x ".join("?" if side is None else str(side) for side in shape)


def _output(path: Path, model: onnx.ModelProto, wanted: str | None) -> str:
    names = [value.name for value in model.graph.output]
    if wanted is not None and wanted not in names:
        raise InputError(f"{path}: no output {wanted!r}; it has: {', '.join(names)}")
    if wanted is None and len(names) > 1:
        described = ", ".join(_described(value) for value in model.graph.output)
        raise InputError(
            f"{path}: {len(names)} outputs; say with --output which is the feature: {described}"
        )
    name = wanted or names[0]
    if _last_operator(model.graph, name) in _PROBABILITIES:
        raise InputError(
            f"{path}: output {name} is a softmax, the probabilities of classes and no feature; "
            "export the network without its classifier, or name another with --output"
        )
    return name


def _described(value: onnx.ValueInfoProto) -> str:
    shape = value.type.tensor_type.shape.dim
    sides = _sides([dimension.dim_value or None for dimension in shape])
    return f"{value.name} ({sides})" if sides else value.name


def _last_operator(graph: onnx.GraphProto, output: str) -> str:
    """Type of the operator that computes an output, before what only reshapes or casts it."""
    makers = {name: node for node in graph.node for name in node.output}
    node = makers.get(output)
    while node is not None and node.op_type in _RESHAPING:
        node = makers.get(node.input[0])
    return "" if node is None else node.op_type


class PlainNetwork:
    """The network as it is, run by ONNX Runtime on images that are preprocessed outside it."""

    def __init__(
        self,
        path: Path,
        interface: NetworkInterface,
        threads: int,
        model: onnx.ModelProto | None = None,
    ) -> None:
        """``model``: the graph to run in place of the file's, as :func:`at_size` gives it.

        Raises :class:`InputError` where ONNX Runtime cannot load it.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(path) if model is None else model.SerializeToString(),
                options,
                providers=["CPUExecutionProvider"],
            )
        except Exception as error:
            raise InputError(f"{path}: ONNX Runtime cannot load it ({_short(error)})") from None
        self._path, self._interface = path, interface

    @property
    def path(self) -> Path:
        """The file, for messages."""
        return self._path

    @property
    def half(self) -> bool:
        """Whether the images are float16."""
        return self._interface.dtype == "float16"

    def features(self, crops: NDArray[np.floating]) -> NDArray[np.float32]:
        """float32 (N, height, width, 3), preprocessed -> float32 (N, D).

        Raises :class:`InputError` for an output that is no vector for each image.
        """
        batch = self._interface.shaped(crops)
        step = self._interface.batch or len(batch)
        rows = [self._run(batch[start : start + step]) for start in range(0, len(batch), step)]
        return np.concatenate(rows)

    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        missing = (self._interface.batch or len(batch)) - len(batch)
        if missing:
            batch = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
        try:
            (result,) = self._session.run(
                [self._interface.output_name], {self._interface.input_name: batch}
            )
        except Exception as error:
            raise InputError(f"{self._path}: does not run ({_short(error)})") from None
        values = np.asarray(result)
        if values.ndim < 2 or len(values) != len(batch):
            raise InputError(
                f"{self._path}: output {self._interface.output_name} of {len(batch)} images has "
                f"shape {values.shape}; a feature is one vector for each image, N x D"
            )
        if sum(side != 1 for side in values.shape[1:]) > 1:
            raise InputError(
                f"{self._path}: output {self._interface.output_name} has shape {values.shape}: a "
                "map, not a vector; export the network with its pooling"
            )
        if not np.issubdtype(values.dtype, np.floating):
            raise InputError(
                f"{self._path}: output {self._interface.output_name} is {values.dtype}, not a "
                "feature of floating point; name another with --output"
            )
        flat = values.reshape(len(values), -1).astype(np.float32)
        if not 2 <= flat.shape[1] <= MAX_FEATURE_DIM:
            raise InputError(
                f"{self._path}: output {self._interface.output_name} has {flat.shape[1]} "
                f"dimensions; a feature has 2 to {MAX_FEATURE_DIM}"
            )
        return flat[: len(batch) - missing]


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."
