"""Context of a run: what its steps work with and leave for one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.datasets.samples import ImageSet
from airreid.errors import InputError
from training.engine.distributed import Distributed
from training.engine.fit import Task, Validation, fit
from training.engine.progress import Report, SilentReport
from training.export.backbone import Graphs, make_graphs
from training.models.backbone import resize
from training.recipes.base import Stage
from training.recipes.recipe import Recipe
from training.runs.checkpoints import SavedBackbone, SavedScheme, load_backbone
from training.runs.folder import ImageSets, cached_pixels, kept_features
from training.steps.held_out import LabelledFeatures


@dataclass(frozen=True)
class HeadData:
    """Features (N, D) that heads are trained on, with labels and cameras (N,) of the images."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    cameras: NDArray[np.int64]

    @classmethod
    def of_images(cls, features: NDArray[np.float32], images: ImageSet, copies: int) -> HeadData:
        """Pairs features (copies N, D) of ``copies`` of each of N images with their labels."""
        return cls(features, np.tile(images.labels(), copies), np.tile(images.cameras(), copies))

    def rows(self, chosen: NDArray[np.bool_], device: torch.device) -> LabelledFeatures:
        """Returns the rows where ``chosen`` (N,) is true, as tensors on a device."""
        features, labels, cameras = (
            torch.from_numpy(values[chosen]).to(device)
            for values in (self.features, self.labels, self.cameras)
        )
        return LabelledFeatures(features, labels, cameras)


class HeadContext(Protocol):
    """Surroundings that the training of one head on features needs."""

    @property
    def seed(self) -> int:
        """Seed that everything drawn depends on."""

    @property
    def device(self) -> torch.device:
        """Device that networks are trained on."""

    def fit_alone(self, task: Task) -> float:
        """Trains a task in this process by itself; see :func:`training.engine.fit.fit`."""


@dataclass
class RunContext:
    """One run at work."""

    recipe: Recipe
    sets: ImageSets
    out: Path
    cache: Path
    report: Report
    distributed: Distributed
    backbones: dict[str, SavedBackbone] = field(default_factory=dict)
    """Backbones by the names of their files."""
    schemes: list[SavedScheme] = field(default_factory=list)
    """Schemes as they are to be exported."""
    shared_backbone: SavedBackbone | None = None
    """Result of the last backbone step, on which heads are trained."""

    @property
    def seed(self) -> int:
        """Seed of the recipe."""
        return self.recipe.seed

    @property
    def device(self) -> torch.device:
        """Device of this process."""
        return self.distributed.device

    def fit(self, task: Task) -> float:
        """Trains a task in all processes; see :func:`training.engine.fit.fit`."""
        return fit(task, self.recipe.engine, self.out, self.distributed, self.report)

    def fit_alone(self, task: Task) -> float:
        """Trains a task in this process by itself, while the others wait."""
        return fit(task, self.recipe.engine, self.out, self.distributed.alone(), self.report)

    def crops(self) -> NDArray[np.uint8]:
        """Returns the training images, decoded once on each machine."""
        images = self.sets.train
        if self.distributed.local_rank == 0:
            cached_pixels(images, self.cache, self.report)
        self.distributed.barrier()
        report = self.report if self.distributed.is_main else SilentReport()
        return cached_pixels(images, self.cache, report)

    def need_shared_backbone(self) -> SavedBackbone:
        """Returns the shared backbone. Raises :class:`InputError` where no step has left one."""
        if self.shared_backbone is None:
            raise InputError(f"recipe {self.recipe.name}: no backbone step before this one")
        return self.shared_backbone

    def graphs(self, backbone: SavedBackbone) -> Graphs:
        """Exports the backbone and proves it; only in the main process."""
        int8 = self.recipe.ship == "int8"
        count = self.recipe.calibration_images
        crops = cached_pixels(self.sets.train, self.cache, self.report)
        return make_graphs(backbone, self.out, crops, count, int8, self.report)

    def head_data(self, backbone: SavedBackbone, copies: int = 1) -> HeadData:
        """Returns features of the codec images by the graph that is shipped; main process only."""
        graph = self.graphs(backbone).of(self.recipe.ship)
        images = self.sets.codec
        features = kept_features(
            graph, images, self.out, backbone.space, self.cache, self.report, copies
        )
        return HeadData.of_images(features, images, copies)

    def finished_backbone(self, path: Path) -> SavedBackbone | None:
        """Returns a backbone that an earlier run of this folder has finished, or None."""
        return self.distributed.broadcast(lambda: load_backbone(path) if path.exists() else None)

    def validator(
        self, stage: Stage, limit: int, score: Callable[[LabelledFeatures], Validation]
    ) -> Callable[[], Validation] | None:
        """Makes a test on held-out people, None where there are none.

        ``score`` is given their images (n, H, W, 3) at the stage's size as ``features``, at
        most ``limit`` of them, whole people first.
        """
        images = self.sets.validation
        if images is None or limit == 0:
            return None
        labels, cameras = images.labels(), images.cameras()
        rows = np.sort(np.argsort(labels, kind="stable")[:limit])
        if len(set(labels[rows].tolist())) < 2:
            return None

        def validate() -> Validation:
            crops = cached_pixels(images, self.cache, self.report)
            small = resize(torch.from_numpy(crops[rows]), stage.height, stage.width)
            people = LabelledFeatures(
                small, torch.from_numpy(labels[rows]), torch.from_numpy(cameras[rows])
            )
            return score(people.to(self.distributed.device))

        return validate


def scheme_seed(seed: int, scheme_id: str) -> int:
    """Returns a seed of a scheme's own: schemes of one setting draw different noise."""
    sequence = np.random.SeedSequence([seed, *scheme_id.encode("ascii")])
    return int(sequence.generate_state(1)[0])
