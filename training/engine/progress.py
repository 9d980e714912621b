"""Where training stands, and why it cannot go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airreid.errors import AirReidError


class TrainingError(AirReidError):
    """Training cannot go on, for a reason that the message names."""


@dataclass(frozen=True)
class Progress:
    """Where a step of a recipe stands, after each step of the optimiser."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    """Share of the batch whose nearest neighbour in the batch is of its identity."""
    validation: float | None = None
    """Top-1 after the last whole epoch, on people who are not trained on."""
    more: Mapping[str, float] = field(default_factory=dict)
    """Anything else worth a curve: bits of a digital scheme."""
