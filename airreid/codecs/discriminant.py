"""The regularised linear discriminant as a channel code.

The generalised eigenproblem ``S_b w = λ (S_w + r tr(S_w)/D I) w`` on standardised features:
scatter between identities against scatter within them (Fisher 1936; Friedman, *Regularized
discriminant analysis*, 1989). Columns have length λ^½ in the metric of the right side, which gives
the transmit power to the directions that tell people apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from airreid.codecs.linear import LinearCode, unit_rows
from airreid.errors import InputError

Matrix = NDArray[np.float64]
REGULARISATIONS = (0.01, 0.1, 0.3, 1.0, 3.0)
"""Values of r that are tried on held-out identities."""


@dataclass(frozen=True)
class Scatter:
    """Scatter of labelled unit features, from which the discriminant of any r follows."""

    mean: Matrix
    """(D,): of unit features."""
    deviation: Matrix
    """(D,): their standard deviation, by which they are divided."""
    within: Matrix
    """(D, D): S_w."""
    between: Matrix
    """(K, D): rows whose outer products add up to S_b, one an identity."""

    def discriminant(self, regularisation: float) -> LinearCode:
        """The discriminant with every direction that separates, the best first.

        Returns a code of min(D, K) columns; truncate it to the bandwidth.
        """
        noise = self.within.copy()
        noise[np.diag_indices_from(noise)] += regularisation * np.trace(noise) / len(noise)
        root = linalg.cholesky(noise, lower=True)  # (D, D): noise = root root^T
        rows = linalg.solve_triangular(root, self.between.T, lower=True).T  # (K, D)
        if len(rows) < rows.shape[1]:
            eigenvalues, left = linalg.eigh(rows @ rows.T)
            eigenvalues, left = eigenvalues[::-1], left[:, ::-1]
            length = np.sqrt(np.maximum(eigenvalues, 1e-18 * eigenvalues[0]))
            directions = (rows.T @ left) / length
        else:
            eigenvalues, directions = linalg.eigh(rows.T @ rows)
            eigenvalues, directions = eigenvalues[::-1], directions[:, ::-1]
        power = np.sqrt(np.maximum(eigenvalues, 0.0))
        matrix = linalg.solve_triangular(root, directions * power, lower=True, trans="T")
        matrix /= self.deviation[:, None]
        return LinearCode(
            self.mean.astype(np.float32), np.ascontiguousarray(matrix.astype(np.float32))
        )


def scatter(features: NDArray[np.float32], identities: NDArray[np.int64]) -> Scatter:
    """Returns the scatter of features (N, D) with an identity each (N,).

    Raises :class:`InputError` for fewer than two identities, and where no identity has two
    images, since nothing then says what may change within a person.
    """
    _, number, count = np.unique(identities, return_inverse=True, return_counts=True)
    if len(count) < 2 or count.max() < 2:
        raise InputError(
            f"{len(count)} identities with at most {count.max(initial=0)} images each: a "
            "discriminant needs two identities or more, and two images of them"
        )
    unit = unit_rows(features.astype(np.float64))
    mean = unit.mean(axis=0)
    deviation = unit.std(axis=0)
    deviation = np.maximum(deviation, 1e-6 * max(float(deviation.max()), 1e-12))
    standard = (unit - mean) / deviation
    by_identity = standard[np.argsort(number, kind="stable")]
    means = np.add.reduceat(by_identity, np.cumsum(count) - count) / count[:, None]
    inner = standard - means[number]
    between = means * np.sqrt(count / len(unit))[:, None]
    return Scatter(mean, deviation, inner.T @ inner / len(unit), between)
