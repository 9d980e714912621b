"""The loop: epochs of steps, with checkpoints from which it goes on as if never stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from airreid.errors import InputError
from training.engine.distributed import Distributed
from training.engine.logs import Curves
from training.engine.precision import Precision, choose
from training.engine.progress import Progress, TrainingError
from training.engine.schedule import ParamGroup, lr_scale, make_optimizer, set_lr
from training.recipes.base import Engine, OptimizerConfig
from training.runs import atomic_file as checkpoint

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Loss:
    """Of one batch."""

    value: Tensor
    """Scalar."""
    accuracy: float
    more: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What is trained, on what, towards what."""

    name: str
    """Of its checkpoints ``NAME.last.pt`` and ``NAME.best.pt``, and of its curves."""
    setting: str
    """Prefix of its fields in the recipe, for messages."""
    architecture: dict[str, Any]
    """What a checkpoint must have been made with."""
    parts: nn.Module
    """Everything that has weights."""
    groups: tuple[ParamGroup, ...]
    """Parts of it and how they move."""
    learning: OptimizerConfig
    epochs: int
    batches: Callable[[int, int], tuple[int, Iterator[tuple[Tensor, Tensor]]]]
    """(epoch, first step) -> steps of the epoch, and its batches from the first step on."""
    loss: Callable[[Tensor, Tensor, torch.Generator, Precision], Loss]
    """Of a batch, with a generator that depends on (seed, epoch, step) alone."""
    seed: int
    validate: Callable[[], float] | None = None
    """Top-1 of people who are not trained on; the parts are in evaluation mode."""
    keep: Literal["best", "last"] = "last"


@dataclass(frozen=True)
class Fitted:
    """How a task ended."""

    seconds: float
    """Spent training, over all runs that continued one another."""
    best: float | None
    """Highest validation top-1, and None without validation."""
    fresh: bool
    """Whether anything was trained in this run."""


@dataclass
class _State:
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    validation: float | None = None


class _Files:
    """A task's checkpoints, which the first process writes."""

    def __init__(self, task: Task, out: Path, distributed: Distributed) -> None:
        self._task, self._distributed = task, distributed
        self.last, self.best = out / f"{task.name}.last.pt", out / f"{task.name}.best.pt"

    def resume(self, optimizer: torch.optim.Optimizer, scaler: Any) -> _State:
        """Puts weights, optimiser and position where the last checkpoint has them."""
        kept = self._distributed.broadcast(
            lambda: self._read(self.last) if self.last.exists() else None
        )
        if kept is None:
            return _State()
        try:
            self._task.parts.load_state_dict(kept["parts"])
            optimizer.load_state_dict(kept["optimizer"])
            scaler.load_state_dict(kept["scaler"])
            return _State(**kept["state"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            first = str(error).splitlines()[-1].strip()
            raise InputError(f"{self.last}: does not fit this run ({first})") from None

    def save(self, state: _State, optimizer: torch.optim.Optimizer, scaler: Any) -> None:
        if self._distributed.is_main:
            checkpoint.save(
                self.last,
                {
                    "architecture": self._task.architecture,
                    "parts": self._task.parts.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "scaler": scaler.state_dict(),
                    "state": dict(vars(state)),
                },
            )

    def save_best(self, state: _State) -> None:
        if self._distributed.is_main:
            checkpoint.save(
                self.best,
                {
                    "architecture": self._task.architecture,
                    "parts": self._task.parts.state_dict(),
                    "epoch": state.epoch,
                    "validation": state.best,
                },
            )

    def use_best(self) -> None:
        kept = self._distributed.broadcast(lambda: self._read(self.best))
        self._task.parts.load_state_dict(kept["parts"])

    def _read(self, path: Path) -> dict[str, Any]:
        kept = checkpoint.load(path)
        theirs, ours = kept.get("architecture"), self._task.architecture
        if theirs != ours:
            raise InputError(
                f"{path}: a checkpoint of another architecture ({theirs}); this run trains {ours}; "
                "give another --out"
            )
        return kept


def fit(task: Task, engine: Engine, out: Path, distributed: Distributed, report: Report) -> Fitted:
    """Trains ``task.parts`` and leaves them as they are to be used, in evaluation mode.

    ``out/NAME.last.pt`` is written after each epoch and every ``checkpoint_minutes`` or
    ``checkpoint_steps`` within one; a run that finds it goes on from there. Everything
    drawn depends on (seed, epoch, step) alone, so the continuation is bit for bit, on a
    CPU, what an unbroken run would have been. Raises :class:`TrainingError` when the loss
    is not finite and :class:`InputError` for a checkpoint that does not fit or that cannot
    be written.
    """
    precision = choose(engine.precision, distributed.device)
    scaler = precision.scaler()
    optimizer = make_optimizer(task.learning, task.groups)
    files = _Files(task, out, distributed)
    state = files.resume(optimizer, scaler)
    fresh = state.epoch < task.epochs
    wanted = engine.tensorboard and distributed.is_main and fresh
    curves = Curves(out / "logs" / task.name, wanted)
    try:
        while state.epoch < task.epochs:
            _epoch(
                task,
                engine,
                state,
                optimizer,
                scaler,
                precision,
                files,
                distributed,
                report,
                curves,
            )
            state.epoch, state.step = state.epoch + 1, 0
            task.parts.eval()
            if task.validate is not None:
                state.validation = distributed.broadcast(task.validate)
                curves.validation(state.validation, state.epoch)
                if state.best is None or state.validation >= state.best:
                    state.best = state.validation
                    files.save_best(state)
            files.save(state, optimizer, scaler)
    finally:
        curves.close()
    if task.keep == "best" and state.best is not None:
        files.use_best()
    task.parts.eval()
    return Fitted(state.seconds, state.best, fresh)


def _epoch(
    task: Task,
    engine: Engine,
    state: _State,
    optimizer: torch.optim.Optimizer,
    scaler: Any,
    precision: Precision,
    files: _Files,
    distributed: Distributed,
    report: Report,
    curves: Curves,
) -> None:
    """The steps of an epoch that are not done yet."""
    task.parts.train()
    steps, batches = task.batches(state.epoch, state.step)
    started = saved = time.monotonic()
    for images, labels in batches:
        step = state.step
        share = lr_scale(task.learning, task.epochs, state.epoch + step / steps)
        set_lr(optimizer, share)
        own = np.random.SeedSequence([task.seed, state.epoch, step]).generate_state(2, np.uint64)
        torch.manual_seed(int(own[0]) >> 1)
        draws = torch.Generator().manual_seed(int(own[1]) >> 1)
        loss = task.loss(
            images.to(distributed.device, non_blocking=True),
            labels.to(distributed.device, non_blocking=True),
            draws,
            precision,
        )
        value = float(loss.value.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"loss is {value} in epoch {state.epoch + 1}, step {step + 1}: lower "
                f"{task.setting}.learning.lr; the last good state is kept in {files.last}"
            )
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss.value).backward()
        distributed.average_gradients(task.parts.parameters())
        scaler.step(optimizer)
        scaler.update()
        state.step += 1
        progress = Progress(
            state.epoch,
            task.epochs,
            step,
            steps,
            value,
            loss.accuracy,
            state.validation,
            loss.more,
        )
        if distributed.is_main:
            report(progress)
            curves.step(progress, task.learning.lr * share)
        now = time.monotonic()
        due = now - saved >= 60 * engine.checkpoint_minutes or (
            engine.checkpoint_steps and state.step % engine.checkpoint_steps == 0
        )
        if due and state.step < steps:
            state.seconds += now - started
            started = saved = now
            files.save(state, optimizer, scaler)
    state.seconds += time.monotonic() - started
