"""A gallery of 16 values a feature, whose entries the tests make up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry

DIM = 16
Opener = Callable[[str], Gallery]
"""Opens the one store of a test with a bundle of a feature space."""


def vector(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)


def new(subject: str, seed: int, space: str = "one", **fields: object) -> NewEntry:
    return NewEntry(subject, "c1", space, vector(seed), **fields)  # type: ignore[arg-type]


def nearest(gallery: Gallery, seed: int) -> tuple[str, int]:
    [result] = gallery.search("features", vector(seed)[None], 1, 1)
    assert result.matches[0].score == pytest.approx(1, abs=1e-5)
    return result.matches[0].subject, result.matches[0].entry_id
