"""Augmentation of crops. Every image has draws of its own, so batches may be made anywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.recipes.base import Augmentation


def generators(seed: int, epoch: int, places: Sequence[int]) -> list[np.random.Generator]:
    """Makes one generator for each place in an epoch's order, whoever prepares it."""
    return [
        np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch, place])))
        for place in places
    ]


def augment(images: Tensor, settings: Augmentation, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Flips, recolours, shifts and erases parts of images (N, H, W, 3), 0..255."""
    if not any(value for _, value in settings):
        return images
    height, width = images.shape[1:3]
    flipped = torch.tensor([rng.random() < settings.flip for rng in rngs])
    images = torch.where(flipped.view(-1, 1, 1, 1), images.flip(2), images)
    jitter = np.stack([rng.normal(1.0, settings.colour_jitter, 3) for rng in rngs])
    low, high = 1 - settings.brightness, 1 + settings.brightness
    brightness = np.stack([rng.uniform(low, high, 1) for rng in rngs])
    scale = torch.from_numpy((jitter * brightness).astype(np.float32)).view(-1, 1, 1, 3)
    images = (images * scale).clamp_(0, 255)
    if settings.shift:
        pad_y, pad_x = max(1, height // 24), max(1, width // 16)
        padded = F.pad(images.permute(0, 3, 1, 2), (pad_x, pad_x, pad_y, pad_y), mode="replicate")
        crops = []
        for i, rng in enumerate(rngs):
            y, x = int(rng.integers(2 * pad_y + 1)), int(rng.integers(2 * pad_x + 1))
            crops.append(padded[i, :, y : y + height, x : x + width])
        images = torch.stack(crops).permute(0, 2, 3, 1)
    out = images.contiguous()
    for i, rng in enumerate(rngs):
        if rng.random() < settings.random_erasing:
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
