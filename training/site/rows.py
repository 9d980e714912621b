"""Images that network and code are trained on together, and how they meet in batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.recipes.base import Batches
from training.site.context import SiteContext
from training.site.people import class_numbers, training_rows


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
    """Numbers the identities or tracks that are trained on, and picks the sampler for them."""
    rows = training_rows(context.labels, context.split)
    labels = np.zeros(len(context.labels), np.int64)
    labels[rows] = class_numbers(context.labels.identity[rows])
    if context.tracks:
        batches = batches.model_copy(update={"sampler": "tracks"})
    return JointRows(rows, labels, context.labels.camera, batches)
