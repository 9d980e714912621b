"""Features of images, extracted once with the network that will be shipped."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.disk import open_private
from airreid.inference import Network
from training.engine.augment import augment, generators
from training.recipes.base import Augmentation


def extract(
    graph: Path,
    crops: NDArray[np.uint8],
    cache: Path | None = None,
    tick: Callable[[], object] = lambda: None,
    batch: int = 16,
    copies: int = 1,
) -> NDArray[np.float32]:
    """Extracts features of uint8 crops (N, height, width, 3): float32 (copies N, D).

    The first N rows are of the images as they are, further ones of augmented copies, the same
    in every run. With ``cache`` the result is kept in that file and read from it the next
    time.
    """
    if cache is not None and cache.exists():
        stored: NDArray[np.float32] = np.load(cache)
        return stored
    network = Network(graph, threads=os.cpu_count() or 1)
    rows = []
    for copy, start in product(range(copies), range(0, len(crops), batch)):
        chunk = np.ascontiguousarray(crops[start : start + batch])
        if copy:
            chunk = _augmented(chunk, copy, start)
        rows.append(network(chunk))
        for _ in chunk:
            tick()
    features = np.concatenate(rows)
    if cache is not None:
        part = cache.with_suffix(".part.npy")
        with open_private(part) as file:
            np.save(file, features)
        part.replace(cache)
    return features


def _augmented(crops: NDArray[np.uint8], copy: int, start: int) -> NDArray[np.uint8]:
    rngs = generators(0, copy, range(start, start + len(crops)))
    augmented = augment(torch.from_numpy(crops.astype(np.float32)), Augmentation(), rngs)
    return np.asarray(augmented.round().to(torch.uint8).numpy())
