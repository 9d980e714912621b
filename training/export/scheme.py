"""Trained scheme of any kind as files of a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.scheme_info import SchemeInfo
from training.runs.checkpoints import SavedScheme
from training.schemes.registry import trained_kind


def export_scheme(
    scheme: SavedScheme,
    folder: Path,
    features: NDArray[np.float32],
    space: str,
    rate_lambda: float | None = None,
) -> SchemeInfo:
    """Exports a scheme, proves it on the training ``features`` (N, D) and describes it.

    ``space``: id of the feature space that it works on; ``rate_lambda``: λ of a digital
    scheme that was saved without it. Raises :class:`airreid.errors.ParityError` when
    what was written does not compute what PyTorch computes.
    """
    if scheme.rate_lambda is None:
        scheme = replace(scheme, rate_lambda=rate_lambda)
    return trained_kind(scheme.id).export(scheme, folder, features, space)
