"""Second moments of features, from which every closed-form code is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from airreid.codecs.linear import LinearCode, unit_rows
from airreid.errors import InputError

Matrix = NDArray[np.float64]
_RANK = 1e-9
"""Share of the largest variance below which a direction counts as empty."""


class TooFewDirectionsError(InputError):
    """A bandwidth above the number of directions of the features that carry anything."""

    def __init__(self, bandwidth: int, directions: int) -> None:
        super().__init__(
            f"bandwidth {bandwidth}: the features have {directions} directions that carry "
            "anything; give a smaller bandwidth or more images"
        )
        self.directions = directions


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of unit features, with the covariance's eigenvectors."""

    mean: Matrix
    """(D,)"""
    variances: Matrix
    """(R,): eigenvalues of the covariance, largest first, empty directions left out."""
    directions: Matrix
    """(D, R): their eigenvectors."""

    def pca(self, bandwidth: int) -> LinearCode:
        """The principal components: ``bandwidth`` orthonormal columns, largest variance first.

        Raises :class:`TooFewDirectionsError` where the features have fewer than that.
        """
        self.check(bandwidth)
        return _code(self.mean, self.directions[:, :bandwidth])

    def check(self, bandwidth: int) -> None:
        """Raises :class:`TooFewDirectionsError` for more channel uses than there are of them."""
        rank = len(self.variances)
        if bandwidth > rank:
            raise TooFewDirectionsError(bandwidth, rank)

    def blend(
        self, first: LinearCode, second: LinearCode, share: float, bandwidth: int
    ) -> LinearCode:
        """The code whose inner products are a mixture of those of two codes.

        Both kernels ``W W^T`` are scaled to the same mean symbol power on these features and
        added with weights ``1 - share`` and ``share``; what ``bandwidth`` columns can hold of
        the sum, measured by the features' own covariance, is kept.
        """
        spread = self.directions * np.sqrt(self.variances)  # (D, R): covariance = spread spread^T
        parts = []
        for code, weight in ((first, 1.0 - share), (second, share)):
            projected = spread.T @ code.matrix.astype(np.float64)  # (R, B)
            parts.append(np.sqrt(weight) * projected / max(float(np.linalg.norm(projected)), 1e-12))
        stacked = np.concatenate(parts, axis=1)  # (R, C): the sum is stacked stacked^T
        # Its eigenvectors times λ^½ are stacked v, v the eigenvectors of the smaller C x C matrix
        _, vectors = linalg.eigh(stacked.T @ stacked)
        inverse = self.directions / np.sqrt(self.variances)
        return _code(self.mean, inverse @ (stacked @ vectors[:, ::-1][:, :bandwidth]))


def moments(features: NDArray[np.float32]) -> Moments:
    """Returns the moments of features (N, D).

    Raises :class:`InputError` for fewer than two features and for values that are not finite.
    """
    if len(features) < 2:
        raise InputError(f"{len(features)} features: a code needs at least two images")
    if not np.isfinite(features).all():
        raise InputError("features that are not finite numbers; the network gives NaN or infinity")
    unit = unit_rows(features.astype(np.float64))
    mean = unit.mean(axis=0)
    centred = unit - mean
    variances, directions = linalg.eigh(centred.T @ centred / len(unit))
    variances, directions = variances[::-1], directions[:, ::-1]
    if variances[0] < 1e-14:
        raise InputError("every image gives the same feature; is this the network's feature?")
    filled = variances > _RANK * variances[0]
    filled &= np.arange(len(variances)) < len(unit) - 1
    return Moments(mean, variances[filled], directions[:, filled])


def _code(mean: Matrix, matrix: Matrix) -> LinearCode:
    return LinearCode(mean.astype(np.float32), np.ascontiguousarray(matrix.astype(np.float32)))
