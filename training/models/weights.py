"""Initial weights of a backbone."""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from airreid.errors import InputError
from training.models.backbone import KINDS, Backbone

_IMAGENET = {
    "resnet50": "ResNet50_Weights",
    "resnet18": "ResNet18_Weights",
    "mobilenet_v3_large": "MobileNet_V3_Large_Weights",
}


def load_weights(backbone: Backbone, weights: str) -> str:
    """Initialises the trunk and returns a line for the model card.

    ``weights`` is ``none`` (He initialisation, and of ResNets zero-initialised residual
    branches), ``imagenet`` (torchvision's newest, fetched by torchvision), or the path of
    a ``state_dict`` of torchvision's network of that name. Raises :class:`InputError`
    when the file is missing or of another architecture.
    """
    if weights == "none":
        for module in backbone.trunk.modules():
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)
            elif isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)
        return "random initialisation (no ImageNet)"
    if weights == "imagenet":
        chosen = getattr(torchvision.models, _IMAGENET[backbone.name]).DEFAULT
        try:
            state = chosen.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"weights imagenet: torchvision could not fetch them ({error}); fetch "
                f"{chosen.url} elsewhere and give the file's path"
            ) from None
        label = f"ImageNet ({chosen})"
    else:
        path = Path(weights)
        if not path.is_file():
            raise InputError(f"weights: no file {path}; give a path, 'imagenet' or 'none'")
        if path.suffix.lower() == ".onnx":
            raise InputError(
                f"weights {path}: an ONNX network cannot be trained on; give a PyTorch state_dict "
                f"of {backbone.name}, or use the network as it is with 'airreid adopt {path} "
                "--images DIR --out BUNDLE'"
            )
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise InputError(f"{path}: not a PyTorch state_dict ({error})") from None
        if not isinstance(state, dict):
            raise InputError(f"{path}: not a PyTorch state_dict ({type(state).__name__})")
        label = f"file {path.name}"
    head = KINDS[backbone.name].head + "."
    state = {key: value for key, value in state.items() if not str(key).startswith(head)}
    try:
        backbone.trunk.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise InputError(
            f"weights {weights}: not a {backbone.name} of torchvision ({first})"
        ) from None
    return label
