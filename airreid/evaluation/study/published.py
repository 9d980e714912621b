"""Values of a study that were published, and whose cells are gone: nobody's hits are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from airreid.disk import read_regular
from airreid.errors import InputError
from airreid.evaluation.study.anchors import Anchor
from airreid.evaluation.study.cells import StudyPoint
from airreid.evaluation.study.crossed import Effect
from airreid.validation import FrozenModel, first_complaint

PUBLISHED = "published.json"
"""File of a folder of results."""
_BYTES_MAX = 64 << 20


class PublishedEntry(FrozenModel):
    """Top-1 of a scheme at one bandwidth and SNR, as it was printed or drawn."""

    scheme: str
    training: str
    bandwidth: int
    snr_db: float
    top1: float
    half_width: float | None = None
    draws: tuple[int, int]
    """Trainings and noise draws."""
    bits: float | None = None
    rate: str = ""
    point: StudyPoint | None = None
    """Top-1 of each training and draw, without hits; None where only the mean is known."""


class PublishedClaim(FrozenModel):
    """A claim as it was judged when hits were known."""

    number: str
    text: str
    first: str
    second: str
    bandwidth: int
    snr_db: float
    effect: Effect
    verdict: str
    by_people: str


class Checks(FrozenModel):
    """Blocks of all points: how far their SNR and power were from what they claim."""

    points: int = 0
    snr_db: float = 0.0
    power: float = 0.0


class Published(FrozenModel):
    """Everything that is left of a study's cells."""

    cells: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Key, settings, choices, facts and digest of each."""
    entries: tuple[PublishedEntry, ...] = ()
    anchors: tuple[Anchor, ...] = ()
    claims: tuple[PublishedClaim, ...] = ()
    no_channel: float | None = None
    checks: Checks = Checks()


def read_published(folder: Path) -> Published:
    """Reads what a folder has of published values; a blank one where there is none.

    Raises :class:`InputError` for a file that holds something else.
    """
    path = folder / PUBLISHED
    try:
        return Published.model_validate_json(read_regular(path, _BYTES_MAX))
    except FileNotFoundError:
        return Published()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        raise InputError(f"{path}: {first_complaint(error)}") from None
