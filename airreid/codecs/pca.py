"""Linear baseline: principal components, power-normalised, sent as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.signal import normalise_power


@dataclass(frozen=True)
class Pca:
    """Principal components of features.

    mean (D,), components (B, D): orthonormal rows, largest variance first.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]

    @property
    def bandwidth(self) -> int:
        """B, real channel uses per query."""
        return len(self.components)

    def encode(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Encodes (N, D) to symbols (N, B) of mean power 1, which are compared as they are."""
        projected = (features - self.mean) @ self.components.T
        return np.asarray(normalise_power(projected), dtype=np.float32)


def fit_pca(features: NDArray[np.float32], bandwidth: int) -> Pca:
    """Finds the principal components of features (N, D), by the covariance's eigenvectors."""
    x = features.astype(np.float64)
    mean = x.mean(axis=0)
    centred = x - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)
    components = vectors[:, ::-1][:, :bandwidth].T
    return Pca(mean.astype(np.float32), np.ascontiguousarray(components, dtype=np.float32))
