"""The camera's work by itself: from a decoded image, and from a JPEG file, to symbols.

Peers encode the same crops with networks of the same shape: PyTorch eager and compiled,
ONNX Runtime in fp32, and OpenVINO with our int8 graph where it is installed. Speed does
not depend on the weights, so PyTorch and fp32 run an untrained ResNet-50.
"""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
import torchvision.transforms.functional as F
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode

from airreid.bundle import Bundle, default_bundle_path, load_bundle
from airreid.images import decode, to_crop
from airreid.inference import BackboneRunner, Network
from airreid.quantisation.static import quantise
from airreid.scheme_kinds import open_scheme
from benchmarks.pictures import jpegs
from benchmarks.rows import SETTLE_SECONDS, Row, Turns, in_turns, row
from training.export.onnx import export_onnx
from training.models.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from training.models.codec import Encoder
from training.recipes.base import BackboneName

METHOD = "in turns, several calls each, all cores, the first call of a turn not counted; medians"
SCHEME = "jscc-ae-256"
EAGER, COMPILED, FP32 = "PyTorch eager fp32", "torch.compile fp32", "ONNX Runtime fp32"
OPENVINO = "OpenVINO int8"
PRODUCT = "one int8 matrix product of as many multiplications"
"""Peer that bounds what other graphs and options of ONNX Runtime can gain on this processor."""
OURS = "ours"
LIMITS = {(EAGER, 1): 5.5, (OPENVINO, 1): 0.95}
EACH = {1: 6, 8: 2}
"""Calls in a row each time it is somebody's turn."""
INT8 = "ONNX Runtime int8"
SMALLER: dict[BackboneName, str] = {"resnet18": INT8, "mobilenet_v3_large": FP32}
"""Smaller backbones, each with the faster of its graphs, which is ours.

MobileNet's products are few; its depthwise layers and HardSwish, which ONNX Runtime has no
integer kernel for, cost more than they save.
"""
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Amount:
    """Extent of a run."""

    rounds: int
    compiled: bool
    """Measures ``torch.compile`` too, which takes minutes to begin."""
    smaller: bool
    """Measures smaller backbones too."""


FULL, QUICK = Amount(8, False, True), Amount(4, False, False)


class _Torch(nn.Module):
    """Network from crops to symbols, as one writes it in PyTorch."""

    def __init__(self, name: BackboneName = "resnet50") -> None:
        super().__init__()
        self.backbone = Backbone(bn_neck=True, name=name)
        self.encoder = Encoder(self.backbone.dim, 256, 0)

    def forward(self, crops: Tensor) -> Tensor:
        symbols: Tensor = self.encoder(self.backbone(crops))
        return symbols


def measure(amount: Amount = FULL) -> list[Row]:
    """Measures images a second."""
    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    bundle = load_bundle(default_bundle_path())
    runner = BackboneRunner(bundle, bundle.backbone, threads)
    scheme = open_scheme(bundle, bundle.scheme(SCHEME), 1, decode=False)
    eager = _Torch().eval()
    with TemporaryDirectory() as folder:
        exported = _exported(eager.backbone, Path(folder))
        fp32 = Network(exported, threads)

        def ours(crops: Pixels) -> object:
            return scheme.pack(runner.features(crops), "analog")

        calls: dict[str, Callable[[Pixels], object]] = {
            OURS: ours,
            EAGER: lambda crops: eager(torch.from_numpy(crops)),
            FP32: lambda crops: scheme.pack(fp32(crops), "analog"),
        }
        note = ""
        if (vino := _openvino(bundle, threads)) is not None:
            calls[OPENVINO] = lambda crops: scheme.pack(vino(crops), "analog")
        if amount.compiled:
            try:
                calls[COMPILED] = _compiled(eager)
            except Exception as error:  # whatever its compiler says, the others count
                note = f"torch.compile does not work here ({type(error).__name__})"
        with torch.inference_mode():
            calls[PRODUCT] = _product(eager.backbone, Path(folder), threads)
            rows = _encode(calls, amount.rounds, note)
            rows += _files(ours, eager, amount.rounds)
            rows += _reading(amount.rounds)
        if amount.smaller:
            rows += [figure for name in SMALLER for figure in _other(name, threads, amount.rounds)]
    return rows


def _encode(calls: dict[str, Callable[[Pixels], object]], rounds: int, note: str) -> list[Row]:
    rows = []
    for batch, each in EACH.items():
        crops = np.random.default_rng(0).integers(0, 256, (batch, 256, 128, 3), dtype=np.uint8)
        turns = in_turns(_bound(calls, crops), rounds, each, SETTLE_SECONDS)
        rows += _rows(f"edge encode, batch {batch}", batch, turns, note)
    return rows


def _files(ours: Callable[[Pixels], object], eager: nn.Module, rounds: int) -> list[Row]:
    """Measures one JPEG after the other, as they come from a camera."""
    files = jpegs()
    numbers = {OURS: 0, EAGER: 0}

    def following(name: str) -> bytes:
        numbers[name] += 1
        return files[numbers[name] % len(files)]

    turns = in_turns(
        {
            OURS: lambda: ours(to_crop(decode(following(OURS), "crop"))[None]),
            EAGER: lambda: eager(_plain(following(EAGER), normalise=False)),
        },
        rounds,
        EACH[1],
        SETTLE_SECONDS,
    )
    return _rows("JPEG file to symbols", 1, turns)


def _reading(rounds: int) -> list[Row]:
    """Measures pre-processing alone: ours leaves normalisation to the network's first layer."""
    data, transforms = jpegs()[0], "torchvision transforms"
    turns = in_turns(
        {
            OURS: lambda: to_crop(decode(data, "crop")),
            transforms: lambda: _plain(data, normalise=True),
        },
        rounds,
        40,
    )
    return _rows("JPEG file to network input", 1, turns)


def _plain(data: bytes, normalise: bool) -> Tensor:
    """Reads a crop by Pillow, then torchvision: uint8 (1, H, W, 3), or float (1, 3, H, W)."""
    with Image.open(io.BytesIO(data)) as image:
        small = F.resize(image.convert("RGB"), [256, 128], InterpolationMode.BICUBIC)
    if not normalise:
        return torch.from_numpy(np.array(small))[None]
    tensor: Tensor = F.normalize(F.to_tensor(small), list(IMAGENET_MEAN), list(IMAGENET_STD))
    return tensor[None]


def _other(name: BackboneName, threads: int, rounds: int) -> list[Row]:
    """Measures a smaller backbone; its weights are untrained, so it has no accuracy."""
    network = Backbone(bn_neck=True, name=name).eval()
    crops = np.random.default_rng(0).integers(0, 256, (1, 256, 128, 3), dtype=np.uint8)
    calibration = np.stack([to_crop(decode(data, "crop")) for data in jpegs()])
    with TemporaryDirectory() as folder:
        source = _exported(network, Path(folder))
        target = Path(folder) / "int8.onnx"
        quantise(source, target, calibration)
        graphs: dict[str, Callable[[Pixels], object]] = {
            FP32: Network(source, threads),
            INT8: Network(target, threads),
        }
        ours = SMALLER[name]
        calls: dict[str, Callable[[Pixels], object]] = {
            OURS: graphs.pop(ours),
            EAGER: lambda crops: network(torch.from_numpy(crops)),
            **graphs,
        }
        with torch.inference_mode():
            turns = in_turns(_bound(calls, crops), rounds, EACH[1], SETTLE_SECONDS)
    note = f"ours is {ours}; crops to features; untrained, the demo bundle has a ResNet-50 alone"
    return _rows(f"edge encode, {name}, batch 1", 1, turns, note)


def _bound(
    calls: dict[str, Callable[[Pixels], object]], crops: Pixels
) -> dict[str, Callable[[], object]]:
    return {name: lambda call=call: call(crops) for name, call in calls.items()}  # type: ignore[misc]


def _rows(name: str, images: int, turns: Turns, note: str = "") -> list[Row]:
    """Makes rows of ours beside each of the others."""
    return [
        row(
            name,
            "images/s",
            images / turns.seconds(OURS),
            images / turns.seconds(peer),
            peer,
            spread=turns.spread(OURS),
            repetitions=turns.count(OURS),
            limit=LIMITS.get((peer, images)) if name.startswith("edge encode, batch") else None,
            note=note,
        )
        for peer in turns.clock
        if peer != OURS
    ]


def _exported(network: nn.Module, folder: Path) -> Path:
    path = folder / "fp32.onnx"
    export_onnx(network, torch.zeros((2, 256, 128, 3), dtype=torch.uint8), path)
    return path


def _multiplications(network: nn.Module) -> int:
    """Counts the multiplications of a network's convolutions, for one crop."""
    counts: list[int] = []
    hooks = [
        layer.register_forward_hook(
            lambda layer, _, out: counts.append(out[0].numel() * layer.weight[0].numel())
        )
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    network(torch.zeros((1, 256, 128, 3), dtype=torch.uint8))
    for hook in hooks:
        hook.remove()
    return sum(counts)


def _product(network: nn.Module, folder: Path, threads: int) -> Callable[[Pixels], object]:
    """Multiplies uint8 (rows, 1024) by int8 (1024, 1024), as many rows a crop as it takes."""
    rows, side = _multiplications(network) // 1024**2, 1024
    rng = np.random.default_rng(0)
    weights = rng.integers(-64, 65, (side, side), dtype=np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["input", "weights"], ["output"])],
        "product",
        [helper.make_tensor_value_info("input", TensorProto.UINT8, ["rows", side])],
        [helper.make_tensor_value_info("output", TensorProto.INT32, ["rows", side])],
        [numpy_helper.from_array(weights, "weights")],
    )
    path = folder / "product.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path
    )
    product = Network(path, threads)
    left = {batch: rng.integers(0, 256, (batch * rows, side), dtype=np.uint8) for batch in EACH}
    return lambda crops: product(left[len(crops)])


def _compiled(eager: nn.Module) -> Callable[[Pixels], object]:
    compiled = torch.compile(eager, dynamic=False)
    with torch.inference_mode():
        for batch in EACH:
            compiled(torch.zeros((batch, 256, 128, 3), dtype=torch.uint8))
    return lambda crops: compiled(torch.from_numpy(crops))


def _openvino(bundle: Bundle, threads: int) -> Callable[[Pixels], NDArray[np.float32]] | None:
    """Runs our int8 graph by OpenVINO; None where that is not installed."""
    if importlib.util.find_spec("openvino") is None:
        return None
    vino: Any = importlib.import_module("openvino")
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    model = vino.Core().compile_model(str(bundle.file(bundle.backbone.file)), "CPU", hints)
    return lambda crops: np.asarray(model(crops)[0], np.float32)
