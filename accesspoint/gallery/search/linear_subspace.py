"""Embeddings in fewer dimensions with the same cosines, where a scheme's decoder is linear.

A linear decoder of B symbols puts every embedding into a subspace of at most B + 1 of the
embedding's dimensions. In an orthonormal basis of the subspace all inner products are what
they were, and an index of 256 columns instead of 2048 takes an eighth of the memory and of
the search's time. The basis is the orthogonal factor of the polar decomposition (Higham,
Functions of Matrices, ch. 8): it is unique, so that processes that make it anew agree.
The decoder followed by the basis is one small matrix, and that is all that is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
MARK = "polar-1"
"""Version of the basis, part of the digest of an index: change it with the basis."""
_PROBES, _PROBE_SCALES = 16, (0.1, 1.0, 30.0)
_TOLERANCE = 1e-5
"""Largest error of a decoder that counts as linear, relative to a row's length. Float32 sums
are within 1e-6."""
_CONDITION = 1e3
"""Largest over smallest stretching of the decoder, above which no basis is made."""


class Decoder(Protocol):
    def __call__(self, received: Array) -> Array:
        """Maps (N, bandwidth) to (N, embedding_dim)."""


@dataclass(frozen=True, eq=False)
class Compact:
    """A linear decoder whose embeddings are in the basis of the subspace that they span."""

    matrix: Array
    """Linear part, (bandwidth, r)."""
    offset: Array
    """Embedding of zeros, (r,)."""
    basis: Array
    """Orthonormal columns, (dim, r)."""

    def __call__(self, received: Array) -> Array:
        """Maps float32 (N, bandwidth) to (N, r): the decoder's embeddings times ``basis``."""
        return received @ self.matrix + self.offset


def compact(decoder: Decoder, bandwidth: int, dim: int) -> Compact | None:
    """Returns a decoder in the basis of its embeddings.

    Returns None unless that saves half the dimensions at least, and for a decoder that is not
    linear (or linear with an offset), or nearly deaf to some symbols.
    """
    if 2 * (bandwidth + 1) > dim:
        return None
    ends = np.zeros((bandwidth + 1, bandwidth), np.float32)
    np.fill_diagonal(ends[1:], 1.0)
    decoded = decoder(ends).astype(np.float64)
    offset, steps = decoded[0], decoded[1:] - decoded[0]
    if not _linear(decoder, steps, offset):
        return None
    spanning = np.vstack([steps, offset]) if offset.any() else steps
    gram = spanning @ spanning.T
    values, vectors = np.linalg.eigh(gram)
    if values[0] * _CONDITION**2 < values[-1] or values[-1] <= 0:
        return None
    root = (vectors / np.sqrt(values)) @ vectors.T
    columns = (root @ spanning).T
    return Compact(
        *(np.ascontiguousarray(x, np.float32) for x in (steps @ columns, offset @ columns, columns))
    )


def _linear(decoder: Decoder, steps: NDArray[np.float64], offset: NDArray[np.float64]) -> bool:
    """Tells whether symbols that were not used to find the map are decoded by it."""
    rng = np.random.default_rng(0)
    size = (len(_PROBE_SCALES), _PROBES, len(steps))
    probes = rng.standard_normal(size) * np.reshape(_PROBE_SCALES, (-1, 1, 1))
    symbols = probes.reshape(-1, len(steps)).astype(np.float32)
    expected = symbols @ steps + offset
    error = np.linalg.norm(decoder(symbols) - expected, axis=1)
    lengths = np.linalg.norm(expected, axis=1)
    return bool(np.isfinite(error).all() and (error <= _TOLERANCE * lengths).all())
