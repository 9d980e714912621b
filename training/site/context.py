"""Context of a run that learns a site: what its steps work with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.adopt.images import AdoptionImages, spread
from airreid.codecs.comparison import Radio, trained_radio
from airreid.codecs.selection import HeldOut
from airreid.datasets.samples import ImageSet
from airreid.retrieval import Labels
from training.engine.distributed import Distributed
from training.engine.fit import Task, fit
from training.engine.progress import Report
from training.recipes.base import snr_bounds
from training.recipes.recipe import Recipe
from training.recipes.site_steps import NestedStep, SiteStep
from training.runs.folder import CropSize, cached_pixels
from training.site.watching import Watcher

_PROOF_IMAGES = 8


@dataclass(frozen=True)
class SiteContext:
    """One run at work, in one process."""

    recipe: Recipe
    images: AdoptionImages
    labels: Labels
    """Identities and cameras of ``images.fit``."""
    only_tracks: bool
    """Whether the identities are tracks, each of one camera."""
    split: HeldOut | None
    """People who are held out to choose by; None where there are too few."""
    watcher: Watcher | None
    out: Path
    cache: Path
    report: Report
    distributed: Distributed

    @property
    def joint_images(self) -> ImageSet:
        """Images of the joint stage: ``images.fit``, then those of the tracks beside them."""
        fit, tracks = self.images.fit, self.images.tracks
        if tracks is None:
            return fit
        return ImageSet(f"{fit.name} and {tracks.name}", (*fit.samples, *tracks.samples))

    @property
    def radio(self) -> Radio:
        """Radio of the last training, which the bundle is for."""
        step = self.recipe.steps[-1]
        assert isinstance(step, NestedStep | SiteStep)
        return radio_of(step)

    def crops(self, size: CropSize) -> NDArray[np.uint8]:
        """Decoded ``joint_images``: uint8 (N, *size, 3)."""
        return cached_pixels(self.joint_images, self.cache, self.report, size)

    def proof(self, size: CropSize) -> NDArray[np.uint8]:
        """A few crops on which two networks are compared: uint8 (n, *size, 3)."""
        chosen = spread(self.images.fit, _PROOF_IMAGES)
        return np.ascontiguousarray(self.crops(size)[chosen])

    def fit(self, task: Task) -> float:
        """Trains a task; see :func:`training.engine.fit.fit`."""
        return fit(task, self.recipe.engine, self.out, self.distributed, self.report)


def radio_of(step: NestedStep | SiteStep) -> Radio:
    """Returns the channel model and the SNRs that a step's results are compared through."""
    return trained_radio(step.channel, *snr_bounds(step.snr_db))
