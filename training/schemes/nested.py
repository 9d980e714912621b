"""Nested schemes in training: their network, and its files in a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airreid.adopt.schemes import NESTED
from airreid.codecs.graphs import write_nested_encoder
from airreid.nested.stopping import StoppingRule
from airreid.scheme_info import FileRef, NestedInfo
from airreid.scheme_kinds import bandwidth_of
from training.export.jscc import HEAD_TOLERANCE
from training.export.onnx import halve_weights, prove_parity
from training.models.nested_code import NestedNetwork
from training.schemes.registry import TrainedKind, register_trained_kind

if TYPE_CHECKING:
    from training.recipes.steps import JointScheme, JointStep
    from training.runs.checkpoints import SavedScheme

_SAMPLE = 64
"""Features on which the graph is compared with PyTorch."""


def _new(step: JointStep, scheme: JointScheme, features: int) -> NestedNetwork:
    weights = scheme.prefix_weights
    return NestedNetwork(features, bandwidth_of(scheme.id), prefix_weights=weights)


def _export(
    scheme: SavedScheme, folder: Path, features: NDArray[np.float32], space: str
) -> NestedInfo:
    rows = np.linspace(0, len(features) - 1, min(len(features), _SAMPLE)).astype(int)
    network, encoder = scheme.network(NestedNetwork), folder / f"{scheme.id}.encoder.onnx"
    write_nested_encoder(network.code(), encoder)
    halve_weights(encoder)
    prove_parity(network, encoder, np.ascontiguousarray(features[rows]), HEAD_TOLERANCE)
    stopping = scheme.stopping
    return NestedInfo(
        id=scheme.id,
        kind=NESTED,
        space_id=space,
        bandwidth=network.embedding_dim,
        embedding_dim=network.embedding_dim,
        piece=network.piece,
        encoder=FileRef.of(encoder),
        snr_db_train=scheme.snr_db_train,
        stopping=None if stopping is None else StoppingRule.model_validate(stopping),
    )


register_trained_kind(TrainedKind(NESTED, NestedNetwork, _new, _export))
