"""Export from PyTorch to ONNX, with proof that both compute the same."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from airreid.errors import ParityError
from airreid.inference import Network
from airreid.retrieval import cosine

OPSET = 18


def export_onnx(module: nn.Module, example: torch.Tensor, path: Path) -> None:
    """Writes ``module`` as one self-contained ONNX file with a free batch size."""
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["input"],
            output_names=["output"],
            dynamic_shapes=({0: batch},),
            verbose=False,
        )
    if program is None:
        raise ParityError(f"{path}: PyTorch made no ONNX program")
    program.save(str(path), external_data=False)


def halve_weights(path: Path, smallest: int = 4096) -> None:
    """Stores large float32 weights of a graph as float16 with a cast behind each.

    ONNX Runtime folds the casts when it loads the graph and computes in float32.
    """
    model = onnx.load(path)
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= smallest:
            wide, narrow = tensor.name, f"{tensor.name}.float16"
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), narrow))
            casts.append(helper.make_node("Cast", [narrow], [wide], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def prove_parity(
    module: nn.Module, path: Path, inputs: NDArray[np.generic], tolerance: float
) -> float:
    """Measures the largest difference of ONNX Runtime from PyTorch, relative to the output's RMS.

    Raises :class:`ParityError` above ``tolerance``, and when the nearest neighbour of
    an output among the others is another one (unless it is as near to within
    ``tolerance``). Inputs go through one at a time and as a batch, so that a graph
    with a fixed batch size is found out.
    """
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(inputs)).numpy()
    network = Network(path, threads=1)
    batch = network(inputs)
    single = np.concatenate([network(inputs[i : i + 1]) for i in range(len(inputs))])
    scale = max(1e-12, float(np.sqrt(np.square(expected).mean())))
    worst = float(max(np.abs(batch - expected).max(), np.abs(single - expected).max())) / scale
    if not worst <= tolerance:
        raise ParityError(f"{path}: differs from PyTorch by {worst:.2e}, more than {tolerance:.0e}")
    similar, similar_onnx = (
        cosine(outputs, outputs) - 2 * np.eye(len(outputs)) for outputs in (expected, batch)
    )
    chosen = np.take_along_axis(similar, similar_onnx.argmax(1)[:, None], 1)[:, 0]
    moved = int((similar.max(1) - chosen > tolerance).sum())
    if moved:
        raise ParityError(f"{path}: {moved} of {len(batch)} outputs have another best match")
    return worst
