"""Variations of crops. Every image has draws of its own, so batches may be made anywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.recipes.base import Augmentation


def generators(seed: int, epoch: int, places: Sequence[int]) -> list[np.random.Generator]:
    """One generator for each place in an epoch's order, whoever prepares it."""
    return [
        np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch, place])))
        for place in places
    ]


def augment(images: Tensor, how: Augmentation, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Mirrors, recolours, shifts and erases parts of images (N, H, W, 3), 0..255."""
    if not (how.mirror or how.shift or how.colour or how.light or how.erase):
        return images
    height, width = images.shape[1:3]
    flip = torch.tensor([rng.random() < how.mirror for rng in rngs])
    images = torch.where(flip.view(-1, 1, 1, 1), images.flip(2), images)
    gain = np.stack([rng.normal(1.0, how.colour, 3) for rng in rngs])
    light = np.stack([rng.uniform(1 - how.light, 1 + how.light, 1) for rng in rngs])
    scale = torch.from_numpy((gain * light).astype(np.float32)).view(-1, 1, 1, 3)
    images = (images * scale).clamp_(0, 255)
    if how.shift:
        pad_y, pad_x = max(1, height // 24), max(1, width // 16)
        padded = F.pad(images.permute(0, 3, 1, 2), (pad_x, pad_x, pad_y, pad_y), mode="replicate")
        cut = []
        for i, rng in enumerate(rngs):
            y, x = int(rng.integers(2 * pad_y + 1)), int(rng.integers(2 * pad_x + 1))
            cut.append(padded[i, :, y : y + height, x : x + width])
        images = torch.stack(cut).permute(0, 2, 3, 1)
    out = images.contiguous()
    for i, rng in enumerate(rngs):
        if rng.random() < how.erase:
            _erase(out[i], rng)
    return out


def _erase(image: Tensor, rng: np.random.Generator) -> None:
    """Fills a random rectangle of (H, W, 3) with one colour."""
    height, width, _ = image.shape
    area = rng.uniform(0.02, 0.25) * height * width
    ratio = np.exp(rng.uniform(np.log(0.4), np.log(2.5)))
    h = min(height - 1, max(1, int(np.sqrt(area * ratio))))
    w = min(width - 1, max(1, int(np.sqrt(area / ratio))))
    y, x = int(rng.integers(height - h)), int(rng.integers(width - w))
    image[y : y + h, x : x + w] = torch.from_numpy(rng.uniform(0, 255, 3).astype(np.float32))
