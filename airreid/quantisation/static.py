"""Backbone in int8: static QDQ quantisation, per channel, calibrated on training images."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import version_converter
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from airreid.quantisation.bias_correction import prepare

OPERATORS = ("Conv", "Relu", "Add", "MaxPool")
"""Operators that run in integers. With ``Relu`` among them a convolution or a sum is rounded once,
after it, to the range that it leaves; without, twice. The pooled feature stays float."""
_OPERATOR_SET = 13
"""The first that quantises per channel."""
_MEANS = 64
"""Images that the biases are corrected on."""


class _Images(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, crops: NDArray[np.uint8], batch: int, tick: Callable[[], object]) -> None:
        self._batches = iter(crops[i : i + batch] for i in range(0, len(crops), batch))
        self._tick = tick

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        self._tick()
        return None if batch is None else {"input": np.ascontiguousarray(batch)}


def quantise(
    source: Path,
    target: Path,
    crops: NDArray[np.uint8],
    tick: Callable[[], object] = lambda: None,
) -> None:
    """Writes the int8 twin of an fp32 graph, which gives the same on every processor.

    ``crops``: uint8 (N, H, W, 3) training images for the activations' ranges, some
    hundreds. Weights 7 bits symmetric per channel (:mod:`airreid.quantisation.bias_correction` says
    why and how), activations uint8 per tensor, over the mean of the extremes of batches of 8:
    one image's outlier does not coarsen all others. A graph of an operator set before 13, which
    has no scales per channel, is converted. Raises what ``onnx`` and ONNX Runtime raise for a
    graph that they cannot convert or quantise.
    """
    with TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        with _only_errors():
            model = onnx.load(source)
            version = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
            if version < _OPERATOR_SET:
                model = version_converter.convert_version(model, _OPERATOR_SET)
            converted = Path(folder) / "converted.onnx"
            onnx.save(model, converted)
            quant_pre_process(str(converted), str(prepared), skip_symbolic_shape=True)
            spread = np.linspace(0, len(crops) - 1, min(len(crops), _MEANS)).astype(int)
            prepare(prepared, crops[spread])
            quantize_static(
                str(prepared),
                str(target),
                _Images(crops, 8, tick),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(OPERATORS),
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"CalibMovingAverage": True},
            )


@contextlib.contextmanager
def _only_errors() -> Iterator[None]:
    """Keeps ONNX Runtime's advice off the root logger, for as long as that takes."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
