"""The training loop: epochs of steps, with checkpoints from which it goes on bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from airreid.errors import InputError
from training.engine.distributed import Distributed
from training.engine.logs import Curves
from training.engine.precision import Precision, choose_precision
from training.engine.progress import Progress, Report, TrainingError
from training.engine.schedule import ParamGroup, lr_scale, make_optimizer, set_lr
from training.recipes.base import Engine, OptimizerConfig
from training.runs import atomic_file


@dataclass(frozen=True)
class BatchLoss:
    """Loss of one batch, and what its curves show."""

    value: Tensor
    """Scalar."""
    batch_top1: float = math.nan
    """NaN where it is not computed."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Further curves by name."""


@dataclass(frozen=True)
class Validation:
    """Result on held-out people after an epoch."""

    top1: float
    """Rank-1 accuracy."""
    criterion: float | None = None
    """Value by which the best epoch is chosen, the higher the better; ``top1`` if left out."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Further curves by name."""


@dataclass(frozen=True)
class Task:
    """One training: networks, data, loss and how the best epoch is chosen."""

    name: str
    """Name of its checkpoints ``NAME.last.pt`` and ``NAME.best.pt``, and of its curves."""
    setting: str
    """Path of ``learning`` in the recipe, for messages: ``codec.learning``."""
    architecture: Mapping[str, Any]
    """Settings that a checkpoint must have been made with."""
    parts: nn.Module
    """Everything that has weights, on the device."""
    groups: tuple[ParamGroup, ...]
    """Parts with their learning rates and weight decays."""
    learning: OptimizerConfig
    epochs: int
    batches: Callable[[int, int], tuple[int, Iterator[tuple[Tensor, Tensor]]]]
    """(epoch, first step) -> steps of the epoch, and its batches from the first step on."""
    loss: Callable[[Tensor, Tensor, torch.Generator, Precision], BatchLoss]
    """Loss of a batch, with a generator that depends on (seed, epoch, step) alone."""
    seed: int
    validate: Callable[[], Validation] | None = None
    """Test on people who are not trained on; the parts are in evaluation mode."""
    keep: Literal["best", "last"] = "last"
    """The epoch whose weights remain; of two that are equally good, the later one."""
    candidates_from: int = 1
    """Number of finished epochs from which on they compete for the best; 0: the start, too."""
    every_epoch: bool = True
    """Whether each epoch ends with a checkpoint; else only one that is due by time does."""


@dataclass
class _State:
    """Position of a training. Stored in checkpoints by these names."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    """Highest criterion so far."""
    validation: float | None = None
    """Rank-1 accuracy at the last validation."""


def fit(task: Task, engine: Engine, out: Path, distributed: Distributed, report: Report) -> float:
    """Trains ``task.parts`` and leaves them as they are to be used, in evaluation mode.

    ``out/NAME.last.pt`` is written after each epoch (of a task without ``every_epoch``: after the
    last one) and every ``checkpoint_minutes`` or ``checkpoint_steps``; a run that finds it goes on
    from there. Everything
    drawn depends on (seed, epoch, step) alone, so the continuation is bit for bit, on a
    CPU, what an unbroken run would have been. Returns the seconds spent training, over all
    runs that continued one another. Raises :class:`TrainingError` when the loss is not
    finite and :class:`InputError` for a checkpoint that does not fit or that cannot be
    written.
    """
    loop = _Loop(task, engine, out, distributed, report)
    try:
        loop.run()
    finally:
        loop.curves.close()
    return loop.state.seconds


class _Loop:
    """A task at work."""

    def __init__(
        self, task: Task, engine: Engine, out: Path, distributed: Distributed, report: Report
    ) -> None:
        self._task, self._engine = task, engine
        self._distributed, self._report = distributed, report
        self._precision = choose_precision(engine.precision, distributed.device)
        self._scaler = self._precision.scaler()
        self._optimizer = make_optimizer(task.learning, task.groups)
        self._last, self._best = out / f"{task.name}.last.pt", out / f"{task.name}.best.pt"
        self._resumed = False
        self._saved = time.monotonic()
        self.state = self._resume()
        unfinished = self.state.epoch < task.epochs
        wanted = engine.tensorboard and distributed.is_main and unfinished
        self.curves = Curves(out / "logs" / task.name, wanted)

    def run(self) -> None:
        """Trains the epochs that are missing and puts the chosen weights in place."""
        task, state = self._task, self.state
        if not self._resumed and task.candidates_from == 0:
            self._validate()
        while state.epoch < task.epochs:
            self._epoch()
            state.epoch, state.step = state.epoch + 1, 0
            self._validate()
            if task.every_epoch or state.epoch == task.epochs or self._due():
                self._save()
        if task.keep == "best" and state.best is not None:
            best = self._distributed.broadcast(lambda: self._read(self._best))
            task.parts.load_state_dict(best["parts"])
        task.parts.eval()

    def _epoch(self) -> None:
        """Does the steps of an epoch that are not done yet."""
        task, engine, state = self._task, self._engine, self.state
        task.parts.train()
        steps, batches = task.batches(state.epoch, state.step)
        started = time.monotonic()
        for inputs, labels in batches:
            self._step(inputs, labels, steps)
            state.step += 1
            due = self._due() or (
                engine.checkpoint_steps and state.step % engine.checkpoint_steps == 0
            )
            if due and state.step < steps:
                now = time.monotonic()
                state.seconds += now - started
                started = now
                self._save()
        state.seconds += time.monotonic() - started

    def _due(self) -> bool:
        return time.monotonic() - self._saved >= 60 * self._engine.checkpoint_minutes

    def _step(self, inputs: Tensor, labels: Tensor, steps: int) -> None:
        """Does one step of the optimiser and reports it."""
        task, state, device = self._task, self.state, self._distributed.device
        scale = lr_scale(task.learning, task.epochs, state.epoch + state.step / steps)
        set_lr(self._optimizer, scale)
        sequence = np.random.SeedSequence([task.seed, state.epoch, state.step])
        seeds = sequence.generate_state(2, np.uint64)
        torch.manual_seed(int(seeds[0]) >> 1)
        draws = torch.Generator().manual_seed(int(seeds[1]) >> 1)
        loss = task.loss(
            inputs.to(device, non_blocking=True),
            labels.to(device, non_blocking=True),
            draws,
            self._precision,
        )
        value = float(loss.value.detach())
        if not math.isfinite(value):
            raise TrainingError(self._not_finite(value))
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss.value).backward()  # type: ignore[no-untyped-call]
        self._distributed.average_gradients(task.parts.parameters())
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._distributed.is_main:
            progress = Progress(
                epoch=state.epoch,
                epochs=task.epochs,
                step=state.step,
                steps=steps,
                loss=value,
                batch_top1=loss.batch_top1,
                validation_top1=state.validation,
                metrics=loss.metrics,
            )
            self._report.network(task.name, progress)
            self.curves.step(progress, task.learning.lr * scale)

    def _not_finite(self, value: float) -> str:
        task, state = self._task, self.state
        place = f"epoch {state.epoch + 1}, step {state.step + 1}"
        last_state = f"; the last good state is kept in {self._last}" if self._last.exists() else ""
        return f"{task.name}: loss is {value} in {place}: lower {task.setting}.lr{last_state}"

    def _validate(self) -> None:
        """Tests the parts as they are, and keeps them where they are the best so far."""
        task, state = self._task, self.state
        task.parts.eval()
        if task.validate is None:
            return
        result = self._distributed.broadcast(task.validate)
        state.validation = result.top1
        self.curves.validation(result.top1, result.metrics, state.epoch)
        criterion = result.top1 if result.criterion is None else result.criterion
        if state.epoch >= task.candidates_from and (state.best is None or criterion >= state.best):
            state.best = criterion
            self._save_best()

    def _resume(self) -> _State:
        """Puts weights, optimiser and position where the last checkpoint has them."""
        saved = self._distributed.broadcast(
            lambda: self._read(self._last) if self._last.exists() else None
        )
        if saved is None:
            return _State()
        self._resumed = True
        try:
            self._task.parts.load_state_dict(saved["parts"])
            self._optimizer.load_state_dict(saved["optimizer"])
            self._scaler.load_state_dict(saved["scaler"])
            state = _State(**saved["state"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise InputError(
                f"{self._last}: does not fit this run ({reason}); give another --out"
            ) from None
        if state.epoch < self._task.epochs:
            place = f"epoch {state.epoch + 1} of {self._task.epochs}"
            if state.step:
                place += f", after {state.step} steps of it"
            self._report.note(f"{self._task.name}: goes on in {place}")
        return state

    def _save(self) -> None:
        self._saved = time.monotonic()
        if self._distributed.is_main:
            state = {
                "architecture": dict(self._task.architecture),
                "parts": self._task.parts.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "scaler": self._scaler.state_dict(),
                "state": dict(vars(self.state)),
            }
            atomic_file.save(self._last, state)

    def _save_best(self) -> None:
        if self._distributed.is_main:
            state = {
                "architecture": dict(self._task.architecture),
                "parts": self._task.parts.state_dict(),
                "epoch": self.state.epoch,
                "validation": self.state.best,
            }
            atomic_file.save(self._best, state)

    def _read(self, path: Path) -> dict[str, Any]:
        saved = atomic_file.load(path)
        theirs, ours = saved.get("architecture"), dict(self._task.architecture)
        if theirs != ours:
            raise InputError(
                f"{path}: a checkpoint of another architecture ({theirs}); this run trains {ours}; "
                "give another --out"
            )
        return saved
