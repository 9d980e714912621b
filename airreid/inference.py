"""Running a bundle's networks with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from airreid.bundle import BackboneInfo, Bundle, SchemeInfo
from airreid.errors import BundleError

Array = NDArray[np.float32]


class Network:
    """One ONNX graph with one input and one output, batch first."""

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
    """uint8 crops -> features."""

    def __init__(self, bundle: Bundle, info: BackboneInfo, threads: int) -> None:
        self.info = info
        self._network = Network(bundle.file(info.file), threads)

    def features(self, crops: NDArray[np.uint8]) -> Array:
        """uint8 (N, height, width, 3) RGB -> float32 (N, feature_dim)."""
        return self._network(crops)


class SchemeRunner:
    """The encoder, the decoder and the gallery map of one scheme."""

    def __init__(self, bundle: Bundle, info: SchemeInfo, threads: int, decode: bool = True) -> None:
        """``decode`` False leaves the decoder unloaded: all that an edge needs."""
        self.info = info
        self._encoder = Network(bundle.file(info.encoder), threads)
        self._decoder = (
            Network(bundle.file(info.decoder), threads) if decode and info.decoder else None
        )

    def encode(self, features: Array) -> Array:
        """float32 (N, feature_dim) -> symbols (N, bandwidth), each row of mean power 1."""
        return self._encoder(features)

    def decode(self, received: Array) -> Array:
        """float32 (N, bandwidth) -> embeddings (N, embedding_dim)."""
        return received if self._decoder is None else self._decoder(received)

    def gallery(self, features: Array) -> Array:
        """What an embedding is compared with: features -> (N, embedding_dim), noiseless."""
        symbols = self.encode(features)
        return symbols if self.info.gallery == "encoder" else self.decode(symbols)
