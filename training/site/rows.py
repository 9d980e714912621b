"""Images that network and code are trained on together, and how they meet in batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.adopt.images import labels_of
from training.recipes.base import Batches
from training.site.bundle import Backed, features_by
from training.site.context import SiteContext
from training.site.people import class_numbers, rival_tracks, training_rows


@dataclass(frozen=True)
class JointRows:
    """Rows of the images, with a class and a camera for each image."""

    rows: NDArray[np.int64]
    """Positions of the images that are trained on, rising."""
    labels: NDArray[np.int64]
    """(N,): the class of an image; 0 for one that is not trained on."""
    cameras: NDArray[np.int64]
    """(N,)."""
    batches: Batches

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1


def joint_rows(batches: Batches, context: SiteContext) -> JointRows:
    """Numbers identities and tracks that are trained on, and picks the sampler for them."""
    images, tracks = context.joint_images, context.images.tracks
    rows = training_rows(context.labels, context.split)
    labels = np.zeros(len(images), np.int64)
    labels[rows] = class_numbers(context.labels.identity[rows])
    if tracks is not None:
        beside = np.arange(len(context.labels), len(images))
        labels[beside] = labels.max() + 1 + tracks.labels()
        rows = np.concatenate([rows, beside])
        batches = batches.model_copy(update={"sampler": "mixed"})
    elif context.only_tracks:
        batches = batches.model_copy(update={"sampler": "tracks"})
    return JointRows(rows, labels, images.cameras(), batches)


def rivals_of(public: Backed, context: SiteContext) -> NDArray[np.bool_] | None:
    """Returns which classes are told apart from which: bool (K, K); None for all from all.

    An identity and a track may be one person, so they are no rivals. ``public``: the network as it
    was given.
    """
    tracks = context.images.tracks
    if context.only_tracks:
        return rival_tracks(public.features, context.labels)
    if tracks is None:
        return None
    rows = training_rows(context.labels, context.split)
    people = len(np.unique(context.labels.identity[rows]))
    features = features_by(public.bundle, tracks, context)
    return with_people(people, rival_tracks(features, labels_of(tracks)))


def with_people(people: int, tracks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Puts so many identities before tracks (K, K): each a rival of all others, of no track."""
    rivals = np.zeros((people + len(tracks),) * 2, np.bool_)
    rivals[:people, :people] = True
    rivals[people:, people:] = tracks
    return rivals
