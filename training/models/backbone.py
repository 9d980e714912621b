"""The re-ID backbone: a network of torchvision or timm up to its pooled feature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from airreid.images import CROP_HEIGHT, CROP_WIDTH
from training.models.timm_trunk import PREFIX, timm_trunk
from training.recipes.base import BackboneName

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class _Kind(NamedTuple):
    build: Callable[..., Any]
    head: str
    """The attribute that classifies, which is taken away."""
    dim: int
    last: tuple[str, ...]
    """The convolutions that halve the resolution for the last time."""


class _Parts(NamedTuple):
    """A network without its classifier, and what it takes and gives."""

    trunk: nn.Module
    dim: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    size: tuple[int, int] = (CROP_HEIGHT, CROP_WIDTH)
    fixed_size: bool = False


KINDS: dict[str, _Kind] = {
    "resnet50": _Kind(
        torchvision.models.resnet50, "fc", 2048, ("layer4.0.conv2", "layer4.0.downsample.0")
    ),
    "resnet18": _Kind(
        torchvision.models.resnet18, "fc", 512, ("layer4.0.conv1", "layer4.0.downsample.0")
    ),
    "mobilenet_v3_large": _Kind(
        torchvision.models.mobilenet_v3_large, "classifier", 960, ("features.13.block.1.0",)
    ),
}


class Backbone(nn.Module):
    """uint8 RGB crops (N, H, W, 3) -> features (N, ``dim``), float32.

    Normalisation (ImageNet mean and standard deviation, those of its configuration for a
    network of timm) is inside, here and in the exported graph, and nowhere else. With
    ``bn_neck`` a batch normalisation follows the pooling (Luo et al., *Bag of Tricks for
    Person Re-ID*, 2019): it centres the feature, which cosine similarity and
    power-normalised codes both gain from. With
    ``last_stride`` 1 (ibid.) the last stage keeps its resolution.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, bn_neck: bool, name: BackboneName = "resnet50", last_stride: Literal[1, 2] = 2
    ) -> None:
        super().__init__()
        parts = _parts(name, last_stride)
        self.name = name
        self.dim = parts.dim
        """Values of a feature."""
        self.size = parts.size
        """Height and width of the images that its weights are made for."""
        self.fixed_size = parts.fixed_size
        """Whether it takes images of that size alone."""
        self.settings: dict[str, Any] = {
            "bn_neck": bn_neck,
            "name": name,
            "last_stride": last_stride,
        }
        """Arguments of the constructor, from which another one like it is built."""
        self.trunk = parts.trunk
        self.neck: nn.Module = nn.BatchNorm1d(parts.dim) if bn_neck else nn.Identity()
        if isinstance(self.neck, nn.BatchNorm1d):
            self.neck.bias.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(parts.mean).view(1, 3, 1, 1) * 255.0)
        self.register_buffer("std", torch.tensor(parts.std).view(1, 3, 1, 1) * 255.0)

    def pooled(self, crops: Tensor) -> Tensor:
        """Returns the feature before the neck, (N, ``dim``): what a triplet loss works on."""
        images = crops.permute(0, 3, 1, 2).float()
        feature: Tensor = self.trunk((images - self.mean) / self.std)
        return feature

    def forward(self, crops: Tensor) -> Tensor:
        feature: Tensor = self.neck(self.pooled(crops))
        return feature


def _parts(name: str, last_stride: Literal[1, 2]) -> _Parts:
    if name.startswith(PREFIX):
        source = timm_trunk(name.removeprefix(PREFIX))
        return _Parts(*source)
    kind = KINDS[name]
    trunk = kind.build(weights=None)
    setattr(trunk, kind.head, nn.Identity())
    for path in kind.last:
        trunk.get_submodule(path).stride = (last_stride, last_stride)
    return _Parts(trunk, kind.dim)


class Sized(nn.Module):
    """A backbone that first resizes crops to the size that it was trained at.

    Cameras send every network 256 x 128; one trained on smaller images would see people
    of another scale. The resize is that of the training, and part of the exported graph.
    """

    def __init__(self, backbone: nn.Module, height: int, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.size = (height, width)

    def forward(self, crops: Tensor) -> Tensor:
        feature: Tensor = self.backbone(resize(crops, *self.size))
        return feature


def resize(crops: Tensor, height: int, width: int) -> Tensor:
    """Resizes uint8 (N, H, W, 3) to float32 (N, height, width, 3), values 0..255, bicubic."""
    images = crops.permute(0, 3, 1, 2).float()
    if images.shape[-2:] != (height, width):
        images = F.interpolate(images, (height, width), mode="bicubic", antialias=True)
        images = images.clamp(0, 255)
    return images.permute(0, 2, 3, 1)
