"""What the steps of a run work with and leave for one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from airreid.errors import InputError
from training.engine.distributed import Distributed
from training.engine.progress_report import Report
from training.export.backbone import Graphs, make_graphs
from training.recipes.base import Stage
from training.recipes.recipe import Recipe
from training.runs.checkpoints import SavedBackbone, SavedScheme, load_backbone
from training.runs.folder import ImageSets, cached_pixels, kept_features

Array = NDArray[np.float32]


@dataclass(frozen=True)
class People:
    """What heads are trained on: features (N, D), the labels and cameras (N,) of their images."""

    features: Array
    labels: NDArray[np.int64]
    cameras: NDArray[np.int64]


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
    schemes: list[SavedScheme] = field(default_factory=list)
    """As they are to be exported."""
    trunk: SavedBackbone | None = None
    """What the last backbone step has left."""

    def crops(self) -> NDArray[np.uint8]:
        """The training images, decoded once on each machine."""
        images = self.sets.train
        if self.distributed.local_rank == 0:
            cached_pixels(images, self.cache, self.report)
        self.distributed.barrier()
        return cached_pixels(
            images, self.cache, Quiet() if not self.distributed.is_main else self.report
        )

    def need_trunk(self) -> SavedBackbone:
        if self.trunk is None:
            raise InputError(f"recipe {self.recipe.name}: no backbone step before this one")
        return self.trunk

    def graphs(self, saved: SavedBackbone) -> Graphs:
        """The backbone exported and proved; only in the first process."""
        int8 = self.recipe.ship == "int8"
        count = self.recipe.calibration_images
        crops = cached_pixels(self.sets.train, self.cache, self.report)
        return make_graphs(saved, self.out, crops, count, int8, self.report)

    def people(self, saved: SavedBackbone, views: int = 1) -> People:
        """Features of the codec images by the graph that is shipped; first process only."""
        graph = self.graphs(saved).of(self.recipe.ship)
        images = self.sets.codec
        features = kept_features(
            graph, images, self.out, saved.space, self.cache, self.report, views
        )
        return People(features, np.tile(images.labels(), views), np.tile(images.cameras(), views))

    def keep(self, path: Path) -> SavedBackbone | None:
        """A backbone that an earlier run of this folder has finished, or None."""
        return self.distributed.broadcast(lambda: load_backbone(path) if path.exists() else None)

    def validator(
        self, stage: Stage, limit: int, score: Callable[[Tensor, Tensor, Tensor], float]
    ) -> Callable[[], float] | None:
        """A test on held-out people: ``score(images, labels, cameras)`` of resized images
        (n, H, W, 3), at most ``limit`` of them, whole people first."""
        images = self.sets.validation
        if images is None or limit == 0:
            return None
        labels, cameras = images.labels(), images.cameras()
        order = np.argsort(labels, kind="stable")[:limit]
        if len(set(labels[order].tolist())) < 2:
            return None

        def validate() -> float:
            from training.models.backbone import resize

            crops = cached_pixels(images, self.cache, self.report)
            small = resize(torch.from_numpy(crops[np.sort(order)]), stage.height, stage.width)
            rows = np.sort(order)
            return score(
                small.to(self.distributed.device),
                torch.from_numpy(labels[rows]).to(self.distributed.device),
                torch.from_numpy(cameras[rows]).to(self.distributed.device),
            )

        return validate


class Quiet:
    """A report of a process that is not the first."""

    def phase(self, name: str, steps: int) -> Callable[[], object]:
        return lambda: None

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None
