"""Features of an image set, extracted once with the network that will be shipped."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.inference import Network


def extract(
    graph: Path,
    crops: NDArray[np.uint8],
    cache: Path | None = None,
    tick: Callable[[], object] = lambda: None,
    batch: int = 16,
) -> NDArray[np.float32]:
    """uint8 crops (N, 256, 128, 3) -> float32 (N, D) by an exported backbone.

    With ``cache`` the result is kept in that file and read from it the next time.
    """
    if cache is not None and cache.exists():
        kept: NDArray[np.float32] = np.load(cache)
        return kept
    network = Network(graph, threads=os.cpu_count() or 1)
    rows = []
    for start in range(0, len(crops), batch):
        chunk = np.ascontiguousarray(crops[start : start + batch])
        rows.append(network(chunk))
        for _ in chunk:
            tick()
    features = np.concatenate(rows)
    if cache is not None:
        part = cache.with_suffix(".part.npy")
        np.save(part, features)
        part.replace(cache)
    return features
