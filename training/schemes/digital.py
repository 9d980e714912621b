"""Digital schemes in training: head and prior, and their files in a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airreid.scheme_info import DigitalInfo
from airreid.scheme_kinds import bandwidth_of
from training.export.digital import export_digital
from training.models.digital import DigitalCodec
from training.schemes.registry import TrainedKind, register_trained_kind

if TYPE_CHECKING:
    from training.recipes.steps import JointScheme, JointStep
    from training.runs.checkpoints import SavedScheme


def _new(step: JointStep, scheme: JointScheme, features: int) -> DigitalCodec:
    return DigitalCodec(features, scheme.dimensions or bandwidth_of(scheme.id))


def _export(
    scheme: SavedScheme, folder: Path, features: NDArray[np.float32], space: str
) -> DigitalInfo:
    return export_digital(
        scheme.id,
        scheme.network(DigitalCodec),
        folder,
        features,
        space,
        crc_bits=scheme.crc_bits,
        channel_code=scheme.channel_code,
        sizes=scheme.payload_sizes,
        rate_lambda=scheme.rate_lambda,
    )


register_trained_kind(TrainedKind("digital", DigitalCodec, _new, _export))
