"""The re-ID backbone: torchvision's ResNet-50 up to its pooled feature."""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from airreid.errors import InputError

FEATURE_DIM = 2048
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """uint8 RGB crops (N, H, W, 3) -> features (N, 2048), float32.

    Normalisation (ImageNet mean and standard deviation) is inside, here and in the
    exported graph, and nowhere else. With ``bn_neck`` a batch normalisation follows
    the pooling (Luo et al., *Bag of Tricks for Person Re-ID*, 2019): it centres the
    feature, which cosine similarity and power-normalised codes both gain from.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, bn_neck: bool) -> None:
        super().__init__()
        self.trunk = torchvision.models.resnet50(weights=None)
        self.trunk.fc = nn.Identity()
        self.neck: nn.Module = nn.BatchNorm1d(FEATURE_DIM) if bn_neck else nn.Identity()
        if isinstance(self.neck, nn.BatchNorm1d):
            self.neck.bias.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1) * 255.0)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1) * 255.0)

    def pooled(self, crops: Tensor) -> Tensor:
        """Feature before the neck, (N, 2048): what a triplet loss works on."""
        images = crops.permute(0, 3, 1, 2).float()
        feature: Tensor = self.trunk((images - self.mean) / self.std)
        return feature

    def forward(self, crops: Tensor) -> Tensor:
        feature: Tensor = self.neck(self.pooled(crops))
        return feature


def load_weights(backbone: Backbone, weights: str) -> str:
    """Initialises the trunk and returns a line for the model card.

    ``weights`` is ``none`` (zero-initialised residual branches, He initialisation),
    ``imagenet`` (torchvision's IMAGENET1K_V2, fetched by torchvision), or the path of
    a ``state_dict`` of torchvision's ResNet-50. Raises :class:`InputError` when the
    file is missing or of another architecture.
    """
    if weights == "none":
        for module in backbone.trunk.modules():
            if isinstance(module, torchvision.models.resnet.Bottleneck):
                nn.init.zeros_(module.bn3.weight)
        return "random initialisation (no ImageNet)"
    if weights == "imagenet":
        chosen = torchvision.models.ResNet50_Weights.IMAGENET1K_V2
        try:
            state = chosen.get_state_dict(progress=True, check_hash=True)
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
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise InputError(f"{path}: not a PyTorch state_dict ({error})") from None
        label = f"file {path.name}"
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    try:
        backbone.trunk.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise InputError(f"weights {weights}: not a ResNet-50 of torchvision ({first})") from None
    return label
