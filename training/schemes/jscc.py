"""JSCC AE and JSCC FC in training: their codec, and its files in a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airreid.scheme_info import JsccInfo
from airreid.scheme_kinds import bandwidth_of, kind_of
from training.export.jscc import export_jscc
from training.models.codec import Codec
from training.schemes.registry import TrainedKind, register_trained_kind

if TYPE_CHECKING:
    from training.recipes.steps import JointScheme, JointStep
    from training.runs.checkpoints import SavedScheme

_SAMPLE = 64
"""Features on which a head's graphs are compared with PyTorch."""


def _new(step: JointStep, scheme: JointScheme, features: int) -> Codec:
    return Codec(kind_of(scheme.id), features, bandwidth_of(scheme.id), 0, step.layers)


def _export(
    scheme: SavedScheme, folder: Path, features: NDArray[np.float32], space: str
) -> JsccInfo:
    rows = np.linspace(0, len(features) - 1, min(len(features), _SAMPLE)).astype(int)
    sample = np.ascontiguousarray(features[rows])
    codec = scheme.network(Codec)
    return export_jscc(scheme.id, codec, folder, sample, space, scheme.snr_db_train)


for _name in ("jscc-ae", "jscc-fc"):
    register_trained_kind(TrainedKind(_name, Codec, _new, _export))
