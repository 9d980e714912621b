"""Context of a run that learns a site: what its steps work with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airreid.adopt.images import AdoptionImages
from airreid.codecs.selection import HeldOut
from airreid.retrieval import Labels
from training.engine.distributed import Distributed
from training.engine.fit import Task, fit
from training.engine.progress import Report
from training.recipes.recipe import Recipe
from training.site.watching import Watcher


@dataclass(frozen=True)
class SiteContext:
    """One run at work, in one process."""

    recipe: Recipe
    images: AdoptionImages
    labels: Labels
    """Identities and cameras of ``images.fit``."""
    tracks: bool
    """Whether the identities are tracks, each of one camera."""
    split: HeldOut | None
    """People who are held out to choose by; None where there are too few."""
    watcher: Watcher | None
    out: Path
    cache: Path
    report: Report
    distributed: Distributed

    def fit(self, task: Task) -> float:
        """Trains a task; see :func:`training.engine.fit.fit`."""
        return fit(task, self.recipe.engine, self.out, self.distributed, self.report)
