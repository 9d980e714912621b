"""A linear code: one matrix from a feature to channel symbols."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.signal import EPSILON, normalise_power

Array = NDArray[np.float32]


@dataclass(frozen=True)
class LinearCode:
    """The map ``x = sqrt(B) u / |u|`` with ``u = (f / |f| - mean) W`` of a feature f.

    Features are compared by cosine, so their length carries nothing: it is divided out first.
    """

    mean: Array
    """float32 (D,): the mean of unit features."""
    matrix: Array
    """float32 (D, B): W. A column's length is the power that its direction gets."""

    @property
    def bandwidth(self) -> int:
        """B, real channel uses per query."""
        return int(self.matrix.shape[1])

    def project(self, features: Array) -> Array:
        """float32 (N, D) -> u, float32 (N, B), before the power is normalised."""
        return np.asarray((unit_rows(features) - self.mean) @ self.matrix, dtype=np.float32)

    def encode(self, features: Array) -> Array:
        """float32 (N, D) -> symbols float32 (N, B), each row of mean power 1."""
        return np.asarray(normalise_power(self.project(features)), dtype=np.float32)

    def truncated(self, bandwidth: int) -> LinearCode:
        """The code of the first ``bandwidth`` columns."""
        return LinearCode(self.mean, np.ascontiguousarray(self.matrix[:, :bandwidth]))


def unit_rows(features: NDArray[np.floating]) -> NDArray[np.floating]:
    """Rows (N, D) divided by their length; a row of zeros stays zeros. Keeps the dtype."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(length, EPSILON), dtype=features.dtype)
