"""An adopted network in int8, shipped only where it is faster here and finds as many people."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from airreid.bundle import BackboneInfo, Bundle
from airreid.datasets.dataset import DataSet
from airreid.errors import BundleError
from airreid.evaluation.features import Phase, features_of
from airreid.evaluation.retrieval_features import (
    RetrievalFeatures,
    no_channel_bound,
    paired_difference,
)
from airreid.inference import Network
from airreid.quantisation.static import quantise
from airreid.scheme_info import FileRef

MOST_LOSS = 0.005
"""Largest loss of top-1, paired, that int8 may cost: half a point."""
LEAST_GAIN = 1.05
"""Least ratio of times; measured ratios below it are not told from noise."""
CALIBRATION = 256
"""Images that the ranges of activations are taken from."""
NO_CONVOLUTIONS = "not made: the network has no convolutions, and these are what int8 is made of"
_FEW = 8
"""Images that a first graph is calibrated on, whose speed is that of the real one."""
_TURNS = 7
_CALLS = 5
Crops = Callable[[int], NDArray[np.uint8]]
"""At most so many crops of the fit, evenly spread: uint8 (N, H, W, 3)."""


@dataclass(frozen=True)
class Int8Result:
    """An int8 backbone for the bundle, or why there is none."""

    backbone: BackboneInfo | None
    words: str
    speedup: float | None = None
    """Time of fp32 for one crop, divided by that of int8."""
    loss: float | None = None
    """Top-1 of fp32 less that of int8, on the same queries without a channel."""
    half_width: float | None = None
    """Half of the loss's 95 % interval, for paired hits (McNemar)."""


def try_int8(
    bundle: Bundle,
    fp32: BackboneInfo,
    crops: Crops,
    test: DataSet | None,
    cache: Path,
    phase: Phase,
) -> Int8Result:
    """Quantises a backbone of the bundle into its folder, and says whether it is worth it.

    Speed is compared first, on a graph calibrated on few images; accuracy, of the ``test``, only
    where that is faster. Nothing is left in the folder where int8 is not kept.
    """
    if test is None:
        return Int8Result(None, "not tried: no people are held out to measure its loss on")
    source, target = bundle.file(fp32.file), bundle.path / "backbone.int8.onnx"
    try:
        result = _tried(bundle, fp32, source, target, crops, test, cache, phase)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # graphs of any operators, by two libraries: of any class
        text = " ".join(str(error).split())
        words = f"not made: this network cannot be quantised ({type(error).__name__}: {text[:160]})"
        result = Int8Result(None, words)
    if result.backbone is None:
        target.unlink(missing_ok=True)
    return result


def _tried(
    bundle: Bundle,
    fp32: BackboneInfo,
    source: Path,
    target: Path,
    crops: Crops,
    test: DataSet,
    cache: Path,
    phase: Phase,
) -> Int8Result:
    if not _has_convolutions(source):
        return Int8Result(None, NO_CONVOLUTIONS)
    few = crops(_FEW)
    tick = phase("int8, a trial", 2)
    quantise(source, target, few)
    tick()
    speedup = _speedup(source, target, few)
    tick()
    if speedup < LEAST_GAIN:
        return Int8Result(
            None, f"not kept: {speedup:.2f} times as fast as fp32 here, for one crop", speedup
        )
    calibration = crops(CALIBRATION)
    batches = -(-len(calibration) // 8)
    quantise(source, target, calibration, phase("int8", batches + 1))  # the last one is empty
    info = _twin(fp32, target)
    loss, half_width = _loss(bundle, fp32, info, test, cache, phase)
    measured = (
        f"{speedup:.2f} times as fast as fp32 here, for one crop; top-1 {-100 * loss:+.1f} +- "
        f"{100 * half_width:.1f} points on held-out people, without a channel"
    )
    if not loss <= MOST_LOSS:
        words = f"not kept: {measured}, more than {100 * MOST_LOSS:g} lost"
        return Int8Result(None, words, speedup, loss, half_width)
    return Int8Result(info, f"kept: {measured}", speedup, loss, half_width)


def _twin(fp32: BackboneInfo, int8: Path) -> BackboneInfo:
    """The int8 twin of a backbone: another file and precision, the same space."""
    update = {"id": f"{fp32.id}-int8", "file": FileRef.of(int8), "precision": "int8"}
    return fp32.model_copy(update=update)


def _has_convolutions(path: Path) -> bool:
    return any(node.op_type == "Conv" for node in onnx.load(path).graph.node)


def _speedup(fp32: Path, int8: Path, crops: NDArray[np.uint8]) -> float:
    """Ratio of the median times of one crop, both graphs in turns on all processors."""
    networks = [Network(path, os.cpu_count() or 1) for path in (fp32, int8)]
    times: list[list[float]] = [[], []]
    for turn in range(_TURNS):
        for network, measured in zip(networks, times, strict=True):
            network(crops[:1])
            for call in range(_CALLS):
                row = (turn * _CALLS + call) % len(crops)
                started = time.perf_counter()
                network(crops[row : row + 1])
                measured.append(time.perf_counter() - started)
    return float(np.median(times[0]) / np.median(times[1]))


def _loss(
    bundle: Bundle,
    fp32: BackboneInfo,
    int8: BackboneInfo,
    test: DataSet,
    cache: Path,
    phase: Phase,
) -> tuple[float, float]:
    """Paired loss of top-1, and the half-width of its interval."""
    query_labels, gallery_labels = test.test_labels()
    retrievals = []
    for info in (fp32, int8):
        queries, gallery = (
            features_of(
                bundle,
                info,
                test[name],
                cache,
                phase(f"features of {name}, {info.precision}", len(test[name])),
            )
            for name in ("query", "gallery")
        )
        if not (np.isfinite(queries).all() and np.isfinite(gallery).all()):
            raise BundleError(f"{info.id}: values that are not finite")
        retrievals.append(
            no_channel_bound(RetrievalFeatures(gallery, gallery_labels, queries, query_labels))
        )
    difference, half_width = paired_difference(retrievals[1], retrievals[0])
    return -difference, half_width
