"""Curves for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.engine.progress import Progress


class Curves:
    """Writes scalars below ``folder``; does nothing where they are not wanted."""

    def __init__(self, folder: Path, wanted: bool) -> None:
        self._folder = folder
        self._wanted = wanted
        self._writer: Any = None

    def step(self, progress: Progress, lr: float) -> None:
        """After each step. What a stopped run wrote from there on does not count."""
        at = progress.epoch * progress.steps + progress.step
        values = {"loss": progress.loss, "batch_top1": progress.accuracy, "lr": lr}
        self._write({**values, **progress.more}, at)

    def validation(self, top1: float, at: int) -> None:
        """After each epoch."""
        self._write({"validation_top1": top1}, at)

    def _write(self, values: Mapping[str, float], at: int) -> None:
        if not self._wanted:
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._folder), purge_step=at or None)
        for name, value in values.items():
            self._writer.add_scalar(name, value, at)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
