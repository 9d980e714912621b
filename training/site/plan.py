"""Epochs of a joint training: what the number of images wants, and what the minutes allow."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from airreid.errors import InputError
from training.runs.atomic_file import save_text

_FEWEST, _MOST = 6, 40
_PER_ROOT = 800.0
"""Epochs times the root of the number of images: 40 for 400 images, 9 for 7,000."""


@dataclass(frozen=True)
class Plan:
    """Length of a joint training."""

    epochs: int
    seconds_per_epoch: float | None
    """Measured before the start; None where the recipe says the epochs."""


def wanted_epochs(images: int) -> int:
    """Returns the epochs after which so many images have taught what they can."""
    return min(_MOST, max(_FEWEST, round(_PER_ROOT / math.sqrt(max(images, 1)))))


def planned_epochs(images: int, minutes: float, seconds_per_epoch: float) -> int:
    """Returns the epochs that are wanted, or as many of them as fit into the minutes.

    Raises :class:`InputError` where not one fits.
    """
    fitting = int(60 * minutes / max(seconds_per_epoch, 1e-9))
    if fitting < 1:
        raise InputError(
            f"--minutes {minutes:g}: one epoch of {images} images takes about "
            f"{seconds_per_epoch / 60:.1f} minutes here; give more"
        )
    return min(wanted_epochs(images), fitting)


def stored_plan(out: Path, name: str) -> Plan | None:
    """Reads the plan that an earlier call of the run has made; None where none has."""
    try:
        stored = json.loads(_path(out, name).read_text(encoding="utf-8"))
        return Plan(int(stored["epochs"]), stored["seconds_per_epoch"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def store_plan(out: Path, name: str, plan: Plan) -> None:
    """Keeps the plan, so that a run that goes on does as many epochs as one unbroken."""
    seconds = plan.seconds_per_epoch
    stored = {
        "epochs": plan.epochs,
        "seconds_per_epoch": None if seconds is None else round(seconds, 3),
    }
    save_text(_path(out, name), json.dumps(stored))


def _path(out: Path, name: str) -> Path:
    return out / f"{name}.plan.json"
