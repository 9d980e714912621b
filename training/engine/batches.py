"""Batches of images: which, in what order, varied how; the same on any machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.engine.augment import augment, generators
from training.engine.distributed import Distributed
from training.engine.sampling import identity_batches, shuffled_batches
from training.models.backbone import resize
from training.recipes.base import Augmentation, Batches, Stage

Batch = tuple[Tensor, Tensor]
"""Images float32 (n, H, W, 3), 0..255, and labels int64 (n,)."""


@dataclass(frozen=True)
class Places:
    """One process's part of a batch: images, and their places in the epoch's order."""

    images: NDArray[np.int64]
    places: NDArray[np.int64]


class AugmentedBatches(Dataset[Batch]):
    """Decoded crops (N, 256, 128, 3) as whole batches, resized and varied."""

    def __init__(
        self,
        crops: NDArray[np.uint8],
        labels: NDArray[np.int64],
        stage: Stage,
        variation: Augmentation,
        seed: tuple[int, int],
        parts: list[Places],
    ) -> None:
        """``seed``: of the run, and the epoch."""
        self._crops, self._labels = crops, labels
        self._stage, self._variation = stage, variation
        self._seed, self._parts = seed, parts

    def __getstate__(self) -> dict[str, Any]:
        """For worker processes that are not forked: a mapped file goes by its name."""
        state = dict(self.__dict__)
        if isinstance(self._crops, np.memmap) and self._crops.filename:
            state["_crops"] = str(self._crops.filename)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(self._crops, str):
            self._crops = np.load(self._crops, mmap_mode="r")

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> Batch:
        part = self._parts[index]
        order = np.argsort(part.images, kind="stable")
        images, places = part.images[order], part.places[order]
        crops = torch.from_numpy(self._crops[images])
        small = resize(crops, self._stage.height, self._stage.width)
        varied = augment(small, self._variation, generators(*self._seed, places.tolist()))
        return varied, torch.from_numpy(self._labels[images])


@dataclass(frozen=True)
class Images:
    """Training images and how they are put together."""

    crops: NDArray[np.uint8]
    labels: NDArray[np.int64]
    stages: tuple[Stage, ...]
    batches: Batches
    variation: Augmentation
    seed: int
    workers: int
    distributed: Distributed

    def stage(self, epoch: int) -> Stage:
        """The image size of an epoch."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        return self.stages[-1]

    def __call__(self, epoch: int, first: int) -> tuple[int, Iterator[Batch]]:
        """Number of steps of an epoch, and its batches from step ``first`` on.

        Order and variations depend on (seed, epoch, place in the order) alone: neither
        on ``first``, nor on the number of workers or processes.
        """
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, epoch])))
        how, size = self.batches, self.distributed.world_size
        if how.sampler == "identities":
            whole = identity_batches(self.labels, how.identities * size, how.images, rng)
        else:
            whole = shuffled_batches(len(self.labels), how.size * size, rng)
        parts, at = [], 0
        for batch in whole:
            mine = self.distributed.shard(len(batch))
            places = np.arange(at, at + len(batch))
            parts.append(Places(batch[mine], places[mine]))
            at += len(batch)
        data = AugmentedBatches(
            self.crops,
            self.labels,
            self.stage(epoch),
            self.variation,
            (self.seed, epoch),
            parts[first:],
        )
        return len(parts), _load(data, self.workers, self.distributed)


def _load(data: AugmentedBatches, workers: int, distributed: Distributed) -> Iterator[Batch]:
    if not len(data):
        return iter(())
    if workers < 0:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        workers = max(0, (cores or 1) - 1) if distributed.device.type == "cuda" else 0
    loader: DataLoader[Batch] = DataLoader(
        data,
        batch_size=None,
        shuffle=False,
        num_workers=workers,
        pin_memory=distributed.device.type == "cuda",
        generator=torch.Generator().manual_seed(0),
    )
    return iter(loader)
