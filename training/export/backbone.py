"""Backbones of a run as ONNX graphs, with proof that they compute the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.bundle import BackboneInfo, Precision
from airreid.errors import InputError, ParityError
from airreid.inference import Network
from airreid.quantisation.static import quantise
from airreid.retrieval import cosine
from airreid.scheme_info import FileRef
from training.engine.progress import Report
from training.export.onnx import export_onnx, prove_parity
from training.runs.checkpoints import SavedBackbone

TOLERANCE = 1e-3
"""Largest difference of the fp32 graph from PyTorch, relative to the feature's RMS."""
INT8_COSINE = 0.9
"""Least mean cosine of int8 features with fp32 features of the same images."""
_PROOF_IMAGES = 32


@dataclass(frozen=True)
class Graphs:
    """Backbone in both precisions, and how close they are to what was trained."""

    fp32: Path
    int8: Path | None
    parity: float
    """Largest difference of the fp32 graph from PyTorch, relative to the RMS."""
    int8_cosine: float | None

    def of(self, precision: Precision) -> Path:
        """The graph of a precision. Raises :class:`InputError` where there is no int8 graph."""
        if precision == "fp32":
            return self.fp32
        if self.int8 is None:
            raise InputError(f"{self.fp32}: there is no int8 twin of it; export fp32")
        return self.int8


def backbone_info(
    path: Path, backbone_id: str, precision: Precision, space: str, feature_dim: int
) -> BackboneInfo:
    """Describes a graph that lies in the bundle's folder."""
    return BackboneInfo(
        id=backbone_id,
        file=FileRef.of(path),
        precision=precision,
        space_id=space,
        feature_dim=feature_dim,
    )


def make_graphs(
    saved: SavedBackbone,
    out: Path,
    crops: NDArray[np.uint8],
    count: int,
    int8: bool,
    report: Report,
) -> Graphs:
    """Exports a backbone to ``out/graphs`` unless it is there, and proves the graphs.

    ``crops``: training images, ``count`` of which give the ranges of int8. Raises
    :class:`ParityError` when a graph drifts from what was trained.
    """
    folder = out / "graphs"
    folder.mkdir(parents=True, exist_ok=True)
    fp32, small = folder / f"{saved.name}.fp32.onnx", folder / f"{saved.name}.int8.onnx"
    card = folder / f"{saved.name}.json"
    if card.exists():
        earlier = stored_graphs(saved, out)
        if earlier.int8 is not None or not int8:
            return earlier
    spread = np.linspace(0, len(crops) - 1, min(len(crops), count)).astype(int)
    sample = np.ascontiguousarray(crops[spread])
    network = saved.shipped()
    export_onnx(network, torch.zeros((2, *sample.shape[1:]), dtype=torch.uint8), fp32)
    parity = prove_parity(network, fp32, sample[:8], TOLERANCE)
    close: float | None = None
    if int8:
        tick = report.phase(f"quantising {saved.name} to int8", -(-len(sample) // 8) + 1)
        quantise(fp32, small, sample, tick)
        close = prove_int8(fp32, small, sample[:_PROOF_IMAGES])
    proof = {"space": saved.space, "parity": parity, "int8_cosine": close}
    card.write_text(json.dumps(proof), encoding="utf-8")
    return Graphs(fp32, small if int8 else None, parity, close)


def stored_graphs(saved: SavedBackbone, out: Path) -> Graphs:
    """Finds the graphs of an earlier call. Raises :class:`InputError` where there are none."""
    folder = out / "graphs"
    card = folder / f"{saved.name}.json"
    try:
        proof = json.loads(card.read_text(encoding="utf-8"))
        space, parity, close = proof["space"], proof["parity"], proof["int8_cosine"]
    except (OSError, ValueError, KeyError):
        raise InputError(f"{card}: missing or damaged; run the recipe again") from None
    if space != saved.space:
        raise InputError(f"{card}: of another backbone; delete {folder} and run the recipe again")
    small = None if close is None else folder / f"{saved.name}.int8.onnx"
    return Graphs(folder / f"{saved.name}.fp32.onnx", small, parity, close)


def prove_int8(fp32: Path, int8: Path, crops: NDArray[np.uint8]) -> float:
    """Measures the mean cosine of both graphs' features (N, D), centred over the images.

    Raises :class:`ParityError` below ``INT8_COSINE``.
    """
    exact, small = (Network(path, threads=1)(crops) for path in (fp32, int8))
    mean = exact.mean(axis=0)
    close = float(np.diag(cosine(exact - mean, small - mean)).mean())
    if not close >= INT8_COSINE:
        raise ParityError(
            f"{int8}: features have a cosine of {close:.3f} with those of fp32, less than "
            f"{INT8_COSINE:g}; give the same command with --set ship=fp32"
        )
    return close
