"""Batches of crops, resized and varied; every draw from the generator given."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def resize(crops: Tensor, height: int, width: int) -> Tensor:
    """uint8 (N, 256, 128, 3) -> float32 (N, height, width, 3), values 0..255, bicubic."""
    images = crops.permute(0, 3, 1, 2).float()
    if images.shape[-2:] != (height, width):
        images = F.interpolate(images, (height, width), mode="bicubic", antialias=True)
        images = images.clamp_(0, 255)
    return images.permute(0, 2, 3, 1)


def vary(images: Tensor, erase: float, rng: np.random.Generator) -> Tensor:
    """Mirrors, shifts, recolours and erases parts of images (N, H, W, 3), 0..255."""
    count, height, width, _ = images.shape
    flip = torch.from_numpy(rng.random(count) < 0.5)
    images = torch.where(flip.view(-1, 1, 1, 1), images.flip(2), images)
    gain = torch.from_numpy(rng.normal(1.0, 0.08, (count, 1, 1, 3)).astype(np.float32))
    light = torch.from_numpy(rng.uniform(0.8, 1.2, (count, 1, 1, 1)).astype(np.float32))
    images = (images * gain * light).clamp_(0, 255)
    pad_y, pad_x = max(1, height // 24), max(1, width // 16)
    padded = F.pad(images.permute(0, 3, 1, 2), (pad_x, pad_x, pad_y, pad_y), mode="replicate")
    rows = rng.integers(0, 2 * pad_y + 1, count)
    columns = rng.integers(0, 2 * pad_x + 1, count)
    cut = [
        padded[i, :, y : y + height, x : x + width]
        for i, (y, x) in enumerate(zip(rows, columns, strict=True))
    ]
    out = torch.stack(cut).permute(0, 2, 3, 1).contiguous()
    for i in np.flatnonzero(rng.random(count) < erase):
        area = rng.uniform(0.02, 0.25) * height * width
        ratio = np.exp(rng.uniform(np.log(0.4), np.log(2.5)))
        h = min(height - 1, max(1, int(np.sqrt(area * ratio))))
        w = min(width - 1, max(1, int(np.sqrt(area / ratio))))
        y, x = int(rng.integers(height - h)), int(rng.integers(width - w))
        out[i, y : y + h, x : x + w] = torch.from_numpy(rng.uniform(0, 255, 3).astype(np.float32))
    return out
