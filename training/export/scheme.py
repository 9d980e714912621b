"""Trained scheme of any kind as files of a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.scheme_info import SchemeInfo
from training.export.digital import export_digital
from training.export.jscc import export_jscc
from training.runs.checkpoints import SavedScheme

_SAMPLE = 64
"""Features on which a JSCC head's graphs are compared with PyTorch."""


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
    if scheme.is_digital:
        return export_digital(
            scheme.id,
            scheme.digital(),
            folder,
            features,
            space,
            crc_bits=scheme.crc_bits,
            sizes=scheme.payload_sizes,
            rate_lambda=rate_lambda if scheme.rate_lambda is None else scheme.rate_lambda,
        )
    spread = np.linspace(0, len(features) - 1, min(len(features), _SAMPLE)).astype(int)
    sample = np.ascontiguousarray(features[spread])
    return export_jscc(scheme.id, scheme.codec(), folder, sample, space, scheme.snr_db_train)
