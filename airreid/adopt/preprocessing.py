"""Preprocessing that a network wants: colour order, scale, mean and deviation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Colour = Literal["rgb", "bgr"]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """The map ``(pixel * scale - mean) / std`` of 0 ... 255, in the network's colour order."""

    scale: float = 1 / 255
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    """Mean and deviation of the scaled pixels, in the network's colour order."""
    colour: Colour = "rgb"

    def apply(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 RGB (N, H, W, 3) -> float32 (N, H, W, 3), as the network wants it."""
        pixels = crops[..., ::-1] if self.colour == "bgr" else crops
        values = pixels.astype(np.float32) * np.float32(self.scale)
        values -= np.asarray(self.mean, np.float32)
        values /= np.asarray(self.std, np.float32)
        return np.asarray(values, dtype=np.float32)

    @property
    def untouched(self) -> bool:
        """Whether the values stay 0 ... 255, as a network that takes uint8 needs them."""
        neutral = Preprocessing(scale=1.0)
        return (self.scale, self.mean, self.std) == (neutral.scale, neutral.mean, neutral.std)

    @property
    def words(self) -> str:
        """The numbers as options of the command line."""
        mean, std = (" ".join(f"{x:g}" for x in values) for values in (self.mean, self.std))
        return f"--colour {self.colour} --scale {self.scale:g} --mean {mean} --std {std}"


IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
CLIP_MEAN: Triple = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Triple = (0.26862954, 0.26130258, 0.27577711)
HALF: Triple = (0.5, 0.5, 0.5)

PRESETS: dict[str, Preprocessing] = {
    "imagenet": Preprocessing(mean=IMAGENET_MEAN, std=IMAGENET_STD),
    "imagenet-bgr": Preprocessing(mean=IMAGENET_MEAN[::-1], std=IMAGENET_STD[::-1], colour="bgr"),
    "half": Preprocessing(mean=HALF, std=HALF),
    "half-bgr": Preprocessing(mean=HALF, std=HALF, colour="bgr"),
    "clip": Preprocessing(mean=CLIP_MEAN, std=CLIP_STD),
    "unit": Preprocessing(),
    "unit-bgr": Preprocessing(colour="bgr"),
    "raw": Preprocessing(scale=1.0),
    "raw-bgr": Preprocessing(scale=1.0, colour="bgr"),
}
"""Preprocessing by name. ``imagenet``: torchreid, BoxMOT, timm's ResNets. ``half``: timm's
Inception-style networks and TransReID. ``clip``: CLIP-ReID. ``raw-bgr``: OpenVINO's
person-reidentification-retail. ``raw``: a network that normalises by itself, as fast-reid's do."""

ALIASES: dict[str, str] = {
    "torchreid": "imagenet",
    "boxmot": "imagenet",
    "fast-reid": "raw",
    "openvino": "raw-bgr",
    "timm": "imagenet",
}


def named(preset: str) -> Preprocessing:
    """Returns a preset or what an alias stands for. Raises :class:`KeyError`."""
    return PRESETS[ALIASES.get(preset, preset)]


def plausible(dtype: str) -> Iterator[tuple[str, Preprocessing]]:
    """Yields the presets that a network with such an input may have been trained with."""
    if dtype == "uint8":
        yield from ((name, PRESETS[name]) for name in ("raw", "raw-bgr"))
        return
    yield from PRESETS.items()
