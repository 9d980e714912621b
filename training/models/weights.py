"""Initial weights of a backbone."""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from airreid.errors import InputError
from training.models.backbone import KINDS, Backbone
from training.models.foreign_weights import match, weights_in

_IMAGENET = {
    "resnet50": "ResNet50_Weights",
    "resnet18": "ResNet18_Weights",
    "mobilenet_v3_large": "MobileNet_V3_Large_Weights",
}


def load_weights(backbone: Backbone, weights: str) -> str:
    """Initialises the trunk and returns a line for the model card.

    ``weights`` is ``none`` (He initialisation, and of ResNets zero-initialised residual
    branches), ``imagenet`` (torchvision's newest, fetched by torchvision), or the path of a
    file with the weights of torchvision's network of that name, as it is or in the shells of
    torchreid, fast-reid and LUPerson. The line says how many weights matched. Raises
    :class:`InputError` when the file is missing or does not have every one of them.
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
    else:
        path = Path(weights)
        if not path.is_file():
            raise InputError(f"weights: no file {path}; give a path, 'imagenet' or 'none'")
        if path.suffix.lower() == ".onnx":
            raise InputError(
                f"weights {path}: an ONNX network is trained by 'airreid train run site --joint "
                f"--backbone {path} --data DIR --out RUN'; here give a PyTorch state_dict of "
                f"{backbone.name}, or use the network as it is with 'airreid adopt {path} --images "
                "DIR --out BUNDLE'"
            )
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise InputError(f"{path}: not a PyTorch state_dict ({error})") from None
        given = weights_in(state)
        if given is None:
            raise InputError(f"{path}: not a PyTorch state_dict ({type(state).__name__})")
        matched = match(given, backbone.trunk)
        if not matched.whole:
            raise InputError(
                f"weights {path}: not a {backbone.name} of torchvision ({matched.words})"
            )
        backbone.trunk.load_state_dict(matched.weights, strict=False)
        return f"file {path.name}, {matched.words}"
    head = KINDS[backbone.name].head + "."
    backbone.trunk.load_state_dict(
        {key: value for key, value in state.items() if not str(key).startswith(head)}
    )
    return f"ImageNet ({chosen})"
