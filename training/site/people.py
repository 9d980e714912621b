"""People of a site: what they allow, and those who are held out to choose by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.adopt.images import AdoptionImages
from airreid.codecs.linear import unit_rows
from airreid.codecs.selection import HeldOut, hold_out
from airreid.datasets.advice import FEWEST_PEOPLE, FEWEST_TRACKS, several_images
from airreid.datasets.samples import ImageSet
from airreid.errors import InputError
from airreid.retrieval import Labels

WATCHED = 10
"""One identity in so many is held out of the training to choose by, from fifty people on."""
MOST_WATCHED = 1000
"""Held-out images, at most, that are searched for after each epoch."""
_SHARED = 0.1
"""Share of people with an image that another has too, above which names must be wrong."""
_ERRORS = 3
"""Standard errors over people by which they must be told apart better than by guessing."""
_MOST_PEOPLE = 100
"""People, at most, by whom it is tried whether they are told apart at all."""


@dataclass(frozen=True)
class People:
    """Labels of the images to train on."""

    labels: Labels
    only_tracks: bool
    """Whether an identity is a track of one camera, and nobody is known by two."""


def people_of(images: AdoptionImages, source: str) -> People:
    """Returns identities and cameras of the images to train on.

    Identities of which none was seen by two cameras, of several, are tracks. Raises
    :class:`InputError` for images that say nobody's identity, and where fewer than
    :data:`FEWEST_PEOPLE` people were seen by two cameras, or so few tracks that they teach nothing.
    """
    labels = images.labels
    if labels is None:
        raise InputError(
            f"{source}: nobody's identity, so there is nothing to train on; give "
            "<identity>/<camera>/<image>, or fit PCA with 'airreid adopt'"
        )
    if np.bincount(labels.identity).max() < 2:
        raise InputError(f"{source}: one image of each person; training needs several")
    pairs = np.unique(np.stack([labels.identity, labels.camera]), axis=1)
    people, views = np.unique(pairs[0], return_counts=True)
    across = int((views > 1).sum())
    if not across and len(people) >= FEWEST_TRACKS and len(np.unique(labels.camera)) > 1:
        _check_tracks(images.fit, source)
        if images.tracks is not None:
            raise InputError(
                f"{source}: nobody was seen by two cameras, so these are tracks as well; put all "
                "tracks into one folder and give it as --data"
            )
        return People(labels, only_tracks=True)
    if across < FEWEST_PEOPLE:
        raise InputError(
            f"{source}: {across} of {len(people)} people to train on were seen by two cameras; "
            f"training needs {FEWEST_PEOPLE}. Give more people, or use the network as it is with "
            "'airreid adopt'"
        )
    if images.tracks is not None:
        _check_tracks(images.tracks, images.tracks.name)
    return People(labels, only_tracks=False)


def _check_tracks(tracks: ImageSet, source: str) -> None:
    several = several_images(tracks)
    if several < FEWEST_TRACKS:
        raise InputError(
            f"{source}: {several} tracks of two images or more; training on tracks needs "
            f"{FEWEST_TRACKS}"
        )


def check_copies(crops: NDArray[np.uint8], positions: NDArray[np.int64], images: ImageSet) -> None:
    """Raises :class:`InputError` where many people have images that are another's, too.

    crops (n, H, W, 3) at ``positions`` of the images.
    """
    owners: dict[bytes, set[str]] = {}
    for crop, position in zip(crops, positions.tolist(), strict=True):
        digest = hashlib.blake2b(crop.tobytes(), digest_size=16).digest()
        owners.setdefault(digest, set()).add(images.samples[position].identity)
    several = [sorted(people) for people in owners.values() if len(people) > 1]
    shared = {person for people in several for person in people}
    looked_at = {images.samples[position].identity for position in positions.tolist()}
    if len(shared) > _SHARED * len(looked_at):
        raise InputError(
            f"{images.name}: {len(shared)} of {len(looked_at)} people have the same image as "
            f"another, {several[0][0]} and {several[0][1]} for example; give one person one name"
        )


def check_told_apart(
    features: NDArray[np.float32], labels: Labels, images: ImageSet, tracks: bool
) -> None:
    """Raises :class:`InputError` where people by two cameras are told apart as if by guessing.

    features (N, D) and ``labels`` (N,) of the images.
    """
    if tracks:
        return
    pairs = np.unique(np.stack([labels.identity, labels.camera]), axis=1)
    people, views = np.unique(pairs[0], return_counts=True)
    people = people[views > 1]
    tried = people[np.linspace(0, len(people) - 1, min(len(people), _MOST_PEOPLE)).astype(int)]
    rows = np.flatnonzero(np.isin(labels.identity, tried))
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_WATCHED)).astype(int)]
    sure, error = _told_apart(unit_rows(features[rows]), labels.take(rows))
    if sure <= 0.5 + _ERRORS * error:
        raise InputError(
            f"{images.name}: to the network an image of a person by another camera is as far as "
            f"one of anybody ({sure:.0%} of pairs are told right, ± {_ERRORS * error:.0%}); are "
            f"these {len(people)} different people, and does each folder show the same one by "
            "every camera?"
        )


def _told_apart(unit: NDArray[np.float32], labels: Labels) -> tuple[float, float]:
    """Share of the images of the same person by another camera that are nearer than one of
    another person by that camera, and its standard error over people.

    unit (N, D), rows of length 1. Each camera's mean is taken off.
    """
    centred = unit.copy()
    for camera in np.unique(labels.camera).tolist():
        centred[labels.camera == camera] -= unit[labels.camera == camera].mean(axis=0)
    scores = unit_rows(centred) @ unit_rows(centred).T
    by_person: dict[int, list[float]] = {}
    for row, score in enumerate(scores):
        for camera in np.unique(labels.camera).tolist():
            others = labels.camera == camera
            if camera == labels.camera[row]:
                continue
            same = others & (labels.identity == labels.identity[row])
            wrong = np.sort(score[others & ~same])
            if same.any() and len(wrong):
                nearer = np.searchsorted(wrong, score[same]) / len(wrong)
                by_person.setdefault(int(labels.identity[row]), []).append(float(nearer.mean()))
    shares = np.asarray([np.mean(values) for values in by_person.values()])
    return float(shares.mean()), float(shares.std(ddof=1) / np.sqrt(len(shares)))


def rival_tracks(features: NDArray[np.float32], labels: Labels) -> NDArray[np.bool_]:
    """Returns which tracks are told apart from which: bool (K, K), true on the diagonal.

    features (N, D), labels (N,) of K tracks. Tracks of other cameras are no rivals, nor are two
    tracks of one camera that may be of one person: whose mean features are nearer to each other
    than images are to the mean of their own track, in the median.
    """
    track = class_numbers(labels.identity)
    unit = unit_rows(features)
    means = np.zeros((int(track.max()) + 1, unit.shape[1]), np.float32)
    np.add.at(means, track, unit)
    means = unit_rows(means)
    camera = np.zeros(len(means), np.int64)
    camera[track] = labels.camera
    usual = float(np.median(np.einsum("nd,nd->n", unit, means[track])))
    rivals: NDArray[np.bool_] = (camera[:, None] == camera) & (means @ means.T < usual)
    np.fill_diagonal(rivals, True)
    return rivals


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
