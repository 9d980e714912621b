"""People of a site: what they allow, and those who are held out to choose by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airreid.adopt.images import AdoptionImages
from airreid.codecs.selection import HeldOut, hold_out
from airreid.errors import InputError
from airreid.retrieval import Labels

WATCHED = 10
"""One identity in so many is held out of the training to choose by, from fifty people on."""
FEWEST_PEOPLE = 8
"""Identities seen by two cameras below which nothing about cameras can be learned."""
MOST_WATCHED = 1000
"""Held-out images, at most, that are searched for after each epoch."""


def people_of(images: AdoptionImages, source: str) -> Labels:
    """Returns identities and cameras of the images to train on.

    Raises :class:`InputError` for images that say nobody's identity, and where fewer than
    :data:`FEWEST_PEOPLE` people were seen by two cameras.
    """
    labels = images.labels
    if labels is None:
        raise InputError(
            f"{source}: nobody's identity, so there is nothing to train on; give "
            "<identity>/<camera>/<image>, or fit PCA with 'airreid adopt'"
        )
    pairs = np.unique(np.stack([labels.identity, labels.camera]), axis=1)
    people, views = np.unique(pairs[0], return_counts=True)
    across = int((views > 1).sum())
    if across < FEWEST_PEOPLE:
        raise InputError(
            f"{source}: {across} of {len(people)} people to train on were seen by two cameras; "
            f"training needs {FEWEST_PEOPLE}. Give more people, or use the network as it is with "
            "'airreid adopt'"
        )
    return labels


def watched(labels: Labels, seed: int) -> HeldOut | None:
    """Splits off people to choose by; None where there are too few to spare ten."""
    return hold_out(labels, seed, WATCHED)


def training_rows(labels: Labels, split: HeldOut | None) -> NDArray[np.int64]:
    """Positions of the images that are trained on: int64, rising."""
    if split is None:
        return np.arange(len(labels))
    return np.flatnonzero(split.fit)


def class_numbers(identities: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers identities (N,) from 0 without gaps."""
    numbers: NDArray[np.int64] = np.unique(identities, return_inverse=True)[1].astype(np.int64)
    return numbers
