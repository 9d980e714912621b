"""Folders of drawn people: each in colours of their own, seen by cameras of different light."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def dress(
    root: Path,
    size: tuple[int, int],
    count: int,
    shots: int,
    cameras: tuple[tuple[str, float], ...] = (("door", 1.0), ("yard", 0.85)),
    seed: int = 5,
) -> Path:
    """Draws ``count`` people of fields of colours; a camera is a name and its light."""
    random = np.random.default_rng(seed)
    for person in range(count):
        dress = random.integers(30, 220, (size[0] // 32, size[1] // 32, 3)).astype(float)
        for camera, light in cameras:
            for shot in range(shots):
                fields = dress * light + random.normal(0, 12, dress.shape)
                pixels = fields.repeat(32, axis=0).repeat(32, axis=1)
                path = root / f"p{person:03d}" / camera / f"{shot}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
    return root
