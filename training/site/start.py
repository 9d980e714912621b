"""The network that learning a site starts from: an ONNX file, a network of timm, or weights."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from airreid.errors import InputError
from training.engine.progress import Report
from training.export.onnx import export_onnx, prove_parity
from training.models.backbone import Backbone
from training.models.foreign_weights import match
from training.models.timm_trunk import PREFIX
from training.models.weights import load_weights, read_weights
from training.recipes.base import TORCHVISION
from training.recipes.recipe import Recipe
from training.recipes.site_steps import NetworkStep

WEIGHTS = (".pth", ".pt", ".tar", ".bin")
"""Ends of files that hold weights for a known architecture, without the graph."""
TOLERANCE = 1e-3
"""Largest difference of the exported graph from torch, relative to the feature's RMS."""
_PROOF_IMAGES = 8


@dataclass(frozen=True)
class Start:
    """A network as ONNX, and the recipe as it takes it."""

    path: Path
    recipe: Recipe
    origin: str
    """Source of its weights, for the model card."""


def start_from(network: str, recipe: Recipe, cache: Path, report: Report) -> Start:
    """Finds or makes the ONNX network that a recipe ``site`` begins with.

    ``network``: an ONNX file, ``timm:NAME``, or a file of weights. The last two are exported to
    ``cache`` with their preprocessing inside, and proved against torch. Raises
    :class:`InputError` for settings that do not go with the network.
    """
    step = recipe.steps[0]
    assert isinstance(step, NetworkStep)
    named = network.startswith(PREFIX)
    if not named and not _holds_weights(Path(network)):
        _check_onnx(network, step)
        return Start(Path(network), recipe, f"{Path(network).name}, trained by others")
    if step.preset not in (None, "raw"):
        raise InputError(
            f"--set {step.name}.preset={step.preset}: {network} brings its own; leave it out"
        )
    torch.manual_seed(recipe.seed)
    if named:
        backbone = Backbone(False, network, step.last_stride)
        name = network.removeprefix(PREFIX)
        origin = f"timm {name}: {load_weights(backbone, step.weights or 'imagenet')}"
    else:
        if step.weights is not None:
            raise InputError(f"--set {step.name}.weights: --backbone {network} is the weights")
        backbone = _recognised(Path(network), step)
        name = f"{backbone.name}-{Path(network).name.partition('.')[0]}"
        origin = f"{backbone.name}: {load_weights(backbone, network)}"
    report.note(origin)
    path = _exported(backbone, _size(backbone, step, network), name, cache, report)
    raw = step.model_copy(update={"preset": "raw"})
    return Start(path, recipe.model_copy(update={"steps": (raw, *recipe.steps[1:])}), origin)


def _holds_weights(path: Path) -> bool:
    """Tells by a file's name whether it is one of weights: ``model.pth.tar-60`` is torchreid's."""
    return path.suffix.lower() in WEIGHTS or ".pth" in path.suffixes[:-1]


def _check_onnx(network: str, step: NetworkStep) -> None:
    if step.weights is not None:
        raise InputError(f"--set {step.name}.weights: {network} has its weights inside")
    if step.last_stride != 2:
        raise InputError(f"--set {step.name}.last_stride: {network} cannot be changed")


def _recognised(path: Path, step: NetworkStep) -> Backbone:
    """Finds the architecture of which a file has every weight."""
    given = read_weights(path)
    closest = ""
    most = -1
    for name in TORCHVISION:
        backbone = Backbone(False, name, step.last_stride)
        matched = match(given, backbone.trunk)
        if matched.whole:
            return backbone
        if len(matched.weights) > most:
            closest, most = f"{name}: {matched.words}", len(matched.weights)
    raise InputError(
        f"{path}: weights of none of {', '.join(TORCHVISION)} (nearest {closest}); give an ONNX "
        f"export, or --backbone timm:NAME with --set {step.name}.weights={path}"
    )


def _size(backbone: Backbone, step: NetworkStep, network: str) -> tuple[int, int]:
    height, width = backbone.size
    if backbone.fixed_size and step.size not in (None, backbone.size):
        raise InputError(
            f"--set {step.name}.resize={step.resize}: {network} takes {height}x{width} alone"
        )
    return step.size or backbone.size


def _exported(
    backbone: Backbone, size: tuple[int, int], name: str, cache: Path, report: Report
) -> Path:
    """Writes the graph, uint8 crops to features, unless it is there."""
    digest = hashlib.sha256(json.dumps([backbone.settings, size, torch.__version__]).encode())
    for key, value in sorted(backbone.state_dict().items()):
        digest.update(key.encode() + value.numpy().tobytes())
    path = cache / "networks" / digest.hexdigest()[:16] / f"{name}.onnx"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    tick = report.phase(f"{name} to ONNX", 1)
    part = path.with_name(f".{os.getpid()}.part.onnx")
    try:
        export_onnx(backbone, torch.zeros((2, *size, 3), dtype=torch.uint8), part)
        random = np.random.default_rng(0)
        crops = random.integers(0, 256, (_PROOF_IMAGES, *size, 3), dtype=np.uint8)
        prove_parity(backbone, part, crops, TOLERANCE)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    tick()
    return path
