"""Running a bundle's networks with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from airreid.bundle import BackboneInfo, Bundle
from airreid.errors import BundleError

Array = NDArray[np.float32]


class Network:
    """ONNX graph with one input and one output, batch first."""

    def __init__(self, path: Path, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise BundleError(f"{path}: ONNX Runtime cannot load it ({error})") from None
        self._input = self._session.get_inputs()[0].name

    def __call__(self, batch: NDArray[np.generic]) -> Array:
        result: Array = self._session.run(None, {self._input: batch})[0]
        return result


class BackboneRunner:
    """Backbone of a bundle: uint8 crops -> features."""

    def __init__(self, bundle: Bundle, info: BackboneInfo, threads: int) -> None:
        self.info = info
        self._network = Network(bundle.file(info.file), threads)

    def features(self, crops: NDArray[np.uint8]) -> Array:
        """Computes uint8 (N, height, width, 3) RGB -> float32 (N, feature_dim)."""
        return self._network(crops)
