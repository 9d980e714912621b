"""Samplers: the images that meet in a batch."""

from __future__ import annotations

from itertools import pairwise

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
    return _batches(groups, identities, rng)


def camera_batches(
    labels: np.ndarray,
    cameras: np.ndarray,
    identities: int,
    images: int,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Draws one epoch of batches of ``identities`` x 2 cameras x ``images`` indices.

    labels and cameras: int (N,). Every image appears at least once, beside images of the same
    identity by another camera; an identity of one camera gives twice as many of that. Where a
    camera has too few images for its last group some are repeated. A last, incomplete batch is
    dropped unless it is the only one.
    """
    order = np.lexsort((cameras, labels))
    new_person = np.diff(labels[order]) != 0
    new_view = new_person | (np.diff(cameras[order]) != 0)
    views = np.split(order, np.flatnonzero(new_view) + 1)
    person = labels[order[np.concatenate([[0], np.flatnonzero(new_view) + 1])]]
    groups: list[np.ndarray] = []
    for first, last in _runs(person):
        groups += _pairs([_chunks(rows, images, rng) for rows in views[first:last]], rng)
    return _batches(groups, identities, rng)


def track_batches(
    labels: np.ndarray,
    cameras: np.ndarray,
    identities: int,
    images: int,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Draws one epoch of batches of ``identities`` tracks x ``2 images``, one camera in each.

    labels: int (N,), the tracks; cameras: int (N,). The batches of all cameras are shuffled.
    """
    batches: list[np.ndarray] = []
    for camera in np.unique(cameras).tolist():
        rows = np.flatnonzero(cameras == camera)
        drawn = identity_batches(labels[rows], identities, 2 * images, rng)
        batches += [rows[batch] for batch in drawn]
    return [batches[i] for i in rng.permutation(len(batches))]


def mixed_batches(
    labels: np.ndarray,
    cameras: np.ndarray,
    identities: int,
    images: int,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Draws one epoch of :func:`camera_batches` of identities that several cameras have seen,
    and of :func:`track_batches` of the others, shuffled.

    labels and cameras: int (N,).
    """
    pairs = np.unique(np.stack([labels, cameras]), axis=1)
    names, views = np.unique(pairs[0], return_counts=True)
    across = np.isin(labels, names[views > 1])
    batches: list[np.ndarray] = []
    for mask, draw in ((across, camera_batches), (~across, track_batches)):
        rows = np.flatnonzero(mask)
        if len(rows):
            drawn = draw(labels[rows], cameras[rows], identities, images, rng)
            batches += [rows[batch] for batch in drawn]
    return [batches[i] for i in rng.permutation(len(batches))]


def _runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Bounds of the runs of equal values."""
    bounds = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return list(pairwise(bounds))


def _chunks(rows: np.ndarray, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Shuffles rows into groups of ``size``, some rows repeated to fill the last."""
    shuffled = rng.permutation(rows)
    missing = -len(shuffled) % size
    if missing:
        shuffled = np.concatenate([shuffled, rng.choice(rows, missing)])
    return list(shuffled.reshape(-1, size))


def _pairs(views: list[list[np.ndarray]], rng: np.random.Generator) -> list[np.ndarray]:
    """Joins every group of a camera with a group of another one, of the only one otherwise."""
    left = [list(groups) for groups in views]
    order = rng.permutation(len(left)).tolist()
    pairs = []
    while any(left):
        first, *others = sorted(order, key=lambda view: -len(left[view]))
        others = others or [first]
        group = left[first].pop()
        if left[others[0]]:
            partner = left[others[0]].pop()
        else:
            used = views[others[int(rng.integers(len(others)))]]
            partner = used[int(rng.integers(len(used)))]
        pairs.append(np.concatenate([group, partner]))
    return pairs


def _batches(
    groups: list[np.ndarray], identities: int, rng: np.random.Generator
) -> list[np.ndarray]:
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
