"""Curves for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.engine.progress import Progress


class Curves:
    """Writer of scalars below ``folder``; does nothing where they are not wanted."""

    def __init__(self, folder: Path, wanted: bool) -> None:
        self._folder = folder
        self._wanted = wanted
        self._writer: Any = None

    def step(self, progress: Progress, lr: float) -> None:
        """Writes the curves of a step, and drops what a stopped run wrote from there on."""
        values = {"loss": progress.loss, "batch_top1": progress.batch_top1, "lr": lr}
        number = progress.epoch * progress.steps + progress.step
        self._write({**values, **progress.metrics}, number)

    def validation(self, top1: float, metrics: Mapping[str, float], epoch: int) -> None:
        """Writes the curves of a validation, after each epoch."""
        values = {"top1": top1, **metrics}
        self._write({f"validation_{name}": value for name, value in values.items()}, epoch)

    def _write(self, values: Mapping[str, float], number: int) -> None:
        if not self._wanted:
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._folder), purge_step=number or None)
        for name, value in values.items():
            self._writer.add_scalar(name, value, number)

    def close(self) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()
