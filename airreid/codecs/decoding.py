"""Linear decoders from received symbols back to the feature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.codecs.linear import LinearCode, unit_rows
from airreid.signal import noise_variance

Array = NDArray[np.float32]
DESIGN_SNR_DB = 0.0
"""SNR per real use for which a decoder weighs its directions."""


@dataclass(frozen=True)
class LinearDecoder:
    """The map ``e = y V`` from received symbols to the feature, less its mean."""

    matrix: Array
    """float32 (B, D): V."""

    def decode(self, received: Array) -> Array:
        """float32 (N, B) -> embeddings float32 (N, D)."""
        return np.asarray(received @ self.matrix, dtype=np.float32)


def fit_decoder(code: LinearCode, features: Array, snr_db: float = DESIGN_SNR_DB) -> LinearDecoder:
    """Fits the linear estimate of least mean square error of a unit feature from ``y = x + z``.

    ``V = (X^T X / N + σ² I)^-1 X^T F / N`` with the symbols X of features (N, D) and the centred
    unit features F: the Wiener filter of the channel at ``snr_db``.
    """
    sent, target = code.encode(features), unit_rows(features) - code.mean
    normal = (sent.T @ sent).astype(np.float64) / len(sent)
    normal[np.diag_indices_from(normal)] += float(noise_variance(snr_db))
    matrix = np.linalg.solve(normal, (sent.T @ target).astype(np.float64) / len(sent))
    return LinearDecoder(np.ascontiguousarray(matrix.astype(np.float32)))


def isometric_decoder(code: LinearCode, features: Array) -> LinearDecoder:
    """Fits the decoder with orthonormal rows that is nearest to :func:`fit_decoder`'s.

    It keeps inner products, so decoded symbols rank exactly as the symbols themselves do. The
    estimate of least error instead shrinks the directions that noise covers, on both sides of an
    inner product, and with them much of what tells people apart. The nearest one is the polar
    factor (Higham, *Functions of Matrices*, 2008, theorem 8.4).
    """
    left, _, right = np.linalg.svd(fit_decoder(code, features).matrix, full_matrices=False)
    return LinearDecoder(np.ascontiguousarray((left @ right).astype(np.float32)))
