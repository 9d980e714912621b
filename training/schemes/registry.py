"""Registry of the scheme kinds that can be trained; ``airreid.scheme_kinds`` is what serves them.

A kind of another package registers itself here, too; a joint step then trains and exports it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airreid.registry import Registry
from airreid.scheme_info import SchemeInfo
from airreid.scheme_kinds import kind_of
from training.models.scheme_network import SchemeNetwork

if TYPE_CHECKING:
    from training.recipes.steps import JointScheme, JointStep
    from training.runs.checkpoints import SavedScheme

Export = Callable[["SavedScheme", Path, NDArray[np.float32], str], SchemeInfo]
"""Writes a scheme's files into a folder, proves them on features (N, D) and describes them.

Arguments: the scheme, the folder, the features, the id of their space. Raises
:class:`airreid.errors.ParityError` when a file does not compute what PyTorch computes."""


@dataclass(frozen=True)
class TrainedKind:
    """One kind of scheme in training. Its loss is part of the network, in ``transmit``."""

    name: str
    """Name of the kind in ``airreid.scheme_kinds``."""
    build: Callable[..., SchemeNetwork]
    """Builds a network from its ``settings``."""
    new: Callable[[JointStep, JointScheme, int], SchemeNetwork]
    """Makes the network of a joint step's scheme, for features of a size."""
    export: Export


_KINDS: Registry[TrainedKind] = Registry("scheme kind in training")


def register_trained_kind(kind: TrainedKind) -> TrainedKind:
    """Adds a kind. Raises :class:`ValueError` for a name that is taken."""
    return _KINDS.register(kind.name, kind)


def trained_kind(scheme_id: str) -> TrainedKind:
    """Returns the kind of a scheme id.

    Raises :class:`airreid.errors.InputError` for a kind that cannot be trained.
    """
    return _KINDS.get(kind_of(scheme_id))
