"""Samplers: the images that meet in a batch."""

from __future__ import annotations

import numpy as np


def identity_batches(
    labels: np.ndarray, identities: int, images: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Draws one epoch of batches of ``identities`` x ``images`` indices.

    labels: int (N,). Every image appears at least once; an identity with too few
    images for its last group repeats some of its own. A last, incomplete batch is
    dropped unless it is the only one.
    """
    groups: list[np.ndarray] = []
    order = np.argsort(labels, kind="stable")
    bounds = np.flatnonzero(np.diff(labels[order])) + 1
    for members in np.split(order, bounds):
        shuffled = rng.permutation(members)
        missing = -len(shuffled) % images
        if missing:
            shuffled = np.concatenate([shuffled, rng.choice(members, missing)])
        groups.extend(shuffled.reshape(-1, images))
    chosen = [groups[i] for i in rng.permutation(len(groups))]
    full = len(chosen) // identities * identities or len(chosen)
    return [
        np.concatenate(chosen[start : start + identities]) for start in range(0, full, identities)
    ]


def shuffled_batches(count: int, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Draws one epoch of ``count`` images, each once, in batches of ``size``.

    A last, incomplete batch is dropped unless it is the only one.
    """
    order = rng.permutation(count)
    full = count // size * size or count
    return [order[start : min(start + size, count)] for start in range(0, full, size)]
