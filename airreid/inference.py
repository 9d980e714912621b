"""Running a bundle's networks with ONNX Runtime."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from airreid.bundle import BackboneInfo, Bundle
from airreid.disk import read_regular
from airreid.errors import BundleError
from airreid.onnx_reach import GRAPH_BYTES_MAX, check_self_contained
from airreid.scheme_info import FileRef

Array = NDArray[np.float32]
_WAY_OUT = "correct the manifest, or export the graph again: docs/bundle.md says what each takes"
_SECONDS_MAX = 60.0
"""Time for the rows that a graph is tried on, at most."""
_TYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


@dataclass(frozen=True)
class Signature:
    """Arrays that a manifest says a graph takes and gives."""

    name: str
    """Kind of graph, for messages."""
    row: tuple[int, ...]
    """Shape of one row of the input: ``(height, width, 3)`` or ``(dimensions,)``."""
    dtype: str
    """``uint8`` or ``float32``."""
    dim: int
    """Values of one row of the output, float32."""


class Network:
    """ONNX graph with one input and one output, batch first."""

    def __init__(
        self,
        path: Path,
        threads: int,
        signature: Signature | None = None,
        graph: bytes | None = None,
    ) -> None:
        """Loads a graph and, with a ``signature``, proves on some rows that it is so.

        ``graph`` is what the file holds, where somebody has checked it. Raises
        :class:`BundleError` for a graph that cannot be loaded, that would read other files, or
        that does something else.
        """
        try:
            data = read_regular(path, GRAPH_BYTES_MAX) if graph is None else graph
        except OSError as error:
            raise BundleError(f"{path}: ONNX Runtime cannot load it ({error.strerror})") from None
        check_self_contained(data, str(path))
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise BundleError(f"{path}: ONNX Runtime cannot load it ({reason})") from None
        self._input = self._session.get_inputs()[0].name
        if signature is not None:
            self._check(path, signature)

    def __call__(self, batch: NDArray[np.generic]) -> Array:
        result: Array = self._session.run(None, {self._input: batch})[0]
        return result

    def _check(self, path: Path, signature: Signature) -> None:
        name = signature.name
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(entry.name for entry in inputs)
            raise BundleError(f"{path}: {name} takes {len(inputs)} inputs ({names}), not one")
        expected = f"{signature.dtype} {_shape((None, *signature.row))}"
        dtype = _TYPES.get(inputs[0].type, inputs[0].type)
        sizes = tuple(side if isinstance(side, int) else None for side in inputs[0].shape)
        wanted = (None, *signature.row)
        fits = len(sizes) == len(wanted) and sizes[0] is None
        fits = fits and all(a in (None, b) for a, b in zip(sizes[1:], wanted[1:], strict=True))
        if dtype != signature.dtype or not fits:
            raise BundleError(
                f"{path}: {name} takes {dtype} {_shape(sizes)}, but by the manifest it must take "
                f"{expected}; {_WAY_OUT}"
            )
        rows = 1 if signature.dtype == "uint8" else 2  # a code's batches cost nothing
        values = np.arange(rows * int(np.prod(signature.row)), dtype=np.int64) * 37 % 251
        batch = values.reshape((rows, *signature.row)).astype(signature.dtype)
        if signature.dtype == "float32":
            batch = (batch - np.float32(125)) / np.float32(72)
        quiet = ort.RunOptions()
        quiet.log_severity_level = 4  # the error says it
        try:
            with _time_limit(quiet):
                result = self._session.run(None, {self._input: batch}, quiet)[0]
        except Exception as error:
            if quiet.terminate:
                raise BundleError(
                    f"{path}: {name} takes over {_SECONDS_MAX:g} s for {rows} of {expected}; give "
                    "a smaller network, or a faster machine"
                ) from None
            node = re.search(r"running (\w+) node\. Name:'([^']*)'", str(error))
            where = f" (node {node[2]}, {node[1]})" if node else ""
            raise BundleError(
                f"{path}: {name} cannot run on {expected}{where}; {_WAY_OUT}"
            ) from None
        if result.shape != (rows, signature.dim) or result.dtype != np.float32:
            raise BundleError(
                f"{path}: {name} gives {result.dtype} {_shape((None, *result.shape[1:]))}, but by "
                f"the manifest it must give float32 {_shape((None, signature.dim))}; {_WAY_OUT}"
            )
        if not np.isfinite(result).all():
            raise BundleError(f"{path}: {name} gives NaN or infinity; export the graph again")


@contextlib.contextmanager
def _time_limit(options: ort.RunOptions) -> Iterator[None]:
    """Ends a run that takes too long, before its next operator."""
    timer = threading.Timer(_SECONDS_MAX, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shape(sides: Sequence[int | None]) -> str:
    names = ["N" if place == 0 else "any" for place in range(len(sides))]
    return "x".join(
        name if side is None else str(side) for name, side in zip(names, sides, strict=True)
    )


def bundle_network(bundle: Bundle, ref: FileRef, threads: int, signature: Signature) -> Network:
    """Loads a graph of a bundle as its manifest has it. Raises :class:`BundleError`."""
    return Network(bundle.file(ref), threads, signature, bundle.read(ref))


class BackboneRunner:
    """Backbone of a bundle: person crops -> features."""

    def __init__(self, bundle: Bundle, info: BackboneInfo, threads: int) -> None:
        """Raises :class:`BundleError` for a graph that is not what the manifest says."""
        self.info = info
        row = (info.height, info.width, 3)
        signature = Signature(f"backbone {info.id}", row, "uint8", info.feature_dim)
        self._network = bundle_network(bundle, info.file, threads, signature)

    def features(self, crops: NDArray[np.uint8]) -> Array:
        """Computes uint8 (N, height, width, 3) RGB -> float32 (N, feature_dim)."""
        return self._network(crops)

    def features_of(self, images: Sequence[Image.Image]) -> Array:
        """Computes features float32 (N, feature_dim) of images of any size, one or more."""
        return self.features(np.stack([self.info.crop(image) for image in images]))
