"""Progress of a run: what is reported while it goes on, and why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from airreid.errors import AirReidError


class TrainingError(AirReidError):
    """Training cannot go on, for a reason that the message names."""


@dataclass(frozen=True)
class Progress:
    """State of one network's training after a step of its optimiser."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    batch_top1: float
    """Rank-1 accuracy within the batch."""
    validation_top1: float | None = None
    """Rank-1 accuracy on held-out people after the last whole epoch."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Further curves by name, such as ``bits`` of a digital scheme."""


class Report(Protocol):
    """Receiver of a run's progress."""

    def phase(self, name: str, steps: int) -> Callable[[], object]:
        """Begins a phase of so many steps; the result is called after each."""

    def note(self, text: str) -> None:
        """Takes a line that the user is told, between phases."""

    def network(self, name: str, progress: Progress) -> None:
        """Takes the progress of the network called ``name`` after each step of its optimiser."""


class SilentReport:
    """Report of a process that is not the main one."""

    def phase(self, name: str, steps: int) -> Callable[[], object]:
        """Says nothing."""
        return lambda: None

    def note(self, text: str) -> None:
        """Says nothing."""

    def network(self, name: str, progress: Progress) -> None:
        """Says nothing."""
