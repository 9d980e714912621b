"""Batches of images or features: which rows, in what order; the same on any machine."""

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
from training.engine.sampling import (
    camera_batches,
    identity_batches,
    mixed_batches,
    shuffled_batches,
    track_batches,
)
from training.models.backbone import resize
from training.recipes.base import Augmentation, Batches, Stage

Batch = tuple[Tensor, Tensor]
"""Images float32 (n, H, W, 3), 0..255, or features (n, D); and labels int64 (n,)."""

_BY_CAMERA = {"cameras": camera_batches, "tracks": track_batches, "mixed": mixed_batches}
"""Samplers that look at the cameras."""


def epoch_rows(
    labels: NDArray[np.int64],
    batches: Batches,
    seed: int,
    epoch: int,
    processes: int = 1,
    cameras: NDArray[np.int64] | None = None,
) -> list[NDArray[np.int64]]:
    """Draws the rows of each batch of an epoch, for all ``processes`` together.

    labels and cameras (N,). Depends on (seed, epoch) alone. Raises ``ValueError`` for a sampler
    that needs ``cameras`` without them.
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch])))
    identities = batches.identities * processes
    if batches.sampler == "identities":
        return identity_batches(labels, identities, batches.images, rng)
    if batches.sampler != "shuffled":
        if cameras is None:
            raise ValueError(f"sampler {batches.sampler} needs the images' cameras")
        draw = _BY_CAMERA[batches.sampler]
        return draw(labels, cameras, identities, batches.images, rng)
    return shuffled_batches(len(labels), batches.size * processes, rng)


@dataclass(frozen=True)
class FeatureBatches:
    """Batches of features (N, D) with labels (N,), both on one device."""

    features: Tensor
    labels: Tensor
    batches: Batches
    seed: int
    cameras: NDArray[np.int64] | None = None

    def __call__(self, epoch: int, first: int) -> tuple[int, Iterator[Batch]]:
        """Returns the number of steps of an epoch, and its batches from step ``first`` on."""
        labels = self.labels.cpu().numpy()
        rows = epoch_rows(labels, self.batches, self.seed, epoch, cameras=self.cameras)
        chosen = (torch.from_numpy(np.sort(batch)) for batch in rows[first:])
        return len(rows), ((self.features[row], self.labels[row]) for row in chosen)


@dataclass(frozen=True)
class BatchShard:
    """One process's part of a batch: images, and their places in the epoch's order."""

    images: NDArray[np.int64]
    places: NDArray[np.int64]


class AugmentedBatches(Dataset[Batch]):
    """Decoded crops (N, 256, 128, 3) as whole batches, resized and augmented."""

    def __init__(
        self,
        crops: NDArray[np.uint8],
        labels: NDArray[np.int64],
        stage: Stage,
        augmentation: Augmentation,
        seed: tuple[int, int],
        shards: list[BatchShard],
    ) -> None:
        """``seed``: of the run, and the epoch."""
        self._crops, self._labels = crops, labels
        self._stage, self._augmentation = stage, augmentation
        self._seed, self._shards = seed, shards

    def __getstate__(self) -> dict[str, Any]:
        """State for worker processes that are not forked: a mapped file goes by its name."""
        state = dict(self.__dict__)
        if isinstance(self._crops, np.memmap) and self._crops.filename:
            state["_crops"] = str(self._crops.filename)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(self._crops, str):
            self._crops = np.load(self._crops, mmap_mode="r")

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, index: int) -> Batch:
        shard = self._shards[index]
        order = np.argsort(shard.images, kind="stable")
        images, places = shard.images[order], shard.places[order]
        crops = torch.from_numpy(self._crops[images])
        small = resize(crops, self._stage.height, self._stage.width)
        augmented = augment(small, self._augmentation, generators(*self._seed, places.tolist()))
        return augmented, torch.from_numpy(self._labels[images])


@dataclass(frozen=True)
class ImageBatches:
    """Batches of training images for every process."""

    crops: NDArray[np.uint8]
    labels: NDArray[np.int64]
    stages: tuple[Stage, ...]
    batches: Batches
    augmentation: Augmentation
    seed: int
    workers: int
    distributed: Distributed
    cameras: NDArray[np.int64] | None = None
    rows: NDArray[np.int64] | None = None
    """Rows of the crops that are trained on; None for all."""

    def stage(self, epoch: int) -> Stage:
        """Returns the image size of an epoch."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        return self.stages[-1]

    def __call__(self, epoch: int, first: int) -> tuple[int, Iterator[Batch]]:
        """Returns the number of steps of an epoch, and its batches from step ``first`` on.

        Order and augmentation depend on (seed, epoch, place in the order) alone: neither
        on ``first``, nor on the number of workers or processes.
        """
        processes = self.distributed.world_size
        shards: list[BatchShard] = []
        offset = 0
        rows = np.arange(len(self.labels)) if self.rows is None else self.rows
        cameras = None if self.cameras is None else self.cameras[rows]
        drawn = epoch_rows(
            self.labels[rows], self.batches, self.seed, epoch, processes, cameras=cameras
        )
        for batch in (rows[positions] for positions in drawn):
            mine = self.distributed.shard(len(batch))
            places = np.arange(offset, offset + len(batch))
            shards.append(BatchShard(batch[mine], places[mine]))
            offset += len(batch)
        data = AugmentedBatches(
            self.crops,
            self.labels,
            self.stage(epoch),
            self.augmentation,
            (self.seed, epoch),
            shards[first:],
        )
        return len(shards), _load(data, self.workers, self.distributed)


def _load(data: AugmentedBatches, workers: int, distributed: Distributed) -> Iterator[Batch]:
    if not len(data):
        return iter(())
    on_gpu = distributed.device.type == "cuda"
    if workers < 0:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        workers = max(0, (cores or 1) - 1) if on_gpu else 0
    loader: DataLoader[Batch] = DataLoader(
        data,
        batch_size=None,
        shuffle=False,
        num_workers=workers,
        pin_memory=on_gpu,
        generator=torch.Generator().manual_seed(0),
    )
    return iter(loader)
