"""A linear code in pieces: any number of them, from the first on, is a code of its own.

A code of B uses for one bandwidth gives each direction of the feature its power once. Cut into
pieces it would send the strongest directions first and noise last. Here the first piece has the
strongest directions, and each further one what the pieces so far lack of the inner products
(the kernel ``W W^T``) that the whole code is to have: strong directions come again, weak ones
later. Every piece has mean power 1 by itself, so a block may end after any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from airreid.codecs.linear import LinearCode
from airreid.codecs.statistics import Moments
from airreid.nested.pieces import PIECE, check_pieces
from airreid.signal import normalise_power

Array = NDArray[np.float32]
_EMPTY = 1e-9
"""Least share of a piece's power in any of its directions."""


@dataclass(frozen=True)
class NestedCode(LinearCode):
    """A linear code whose symbols are normalised piece by piece."""

    piece: int = PIECE
    """Real channel uses of a piece; the bandwidth is a multiple of it."""

    def encode(self, features: Array) -> Array:
        """Encodes float32 (N, D) -> symbols float32 (N, B), each piece of mean power 1."""
        projected = self.project(features).reshape(len(features), -1, self.piece)
        return np.asarray(normalise_power(projected).reshape(len(features), -1), np.float32)

    def truncated(self, bandwidth: int) -> NestedCode:
        """Returns the code of the first pieces. Raises ``ValueError`` for a part of a piece."""
        if bandwidth % self.piece:
            raise ValueError(f"{bandwidth} uses are no whole pieces of {self.piece}")
        matrix = np.ascontiguousarray(self.matrix[:, :bandwidth])
        return NestedCode(self.mean, matrix, self.piece)


def nest(
    target: LinearCode,
    moments: Moments,
    bandwidth: int,
    piece: int = PIECE,
    exponent: float = 1.0,
) -> NestedCode:
    """Cuts what a code tells apart into pieces of equal power.

    Piece k has the leading directions of ``k K - (K_1 + ... + K_(k-1))``, with the kernel K of
    ``target`` and those of the pieces before, each of power 1 on features with these moments.
    ``exponent``: of the eigenvalues of K; below 1 weak directions come sooner and with more power.
    Raises :class:`InputError` for a bandwidth that is no multiple of ``piece``.
    """
    check_pieces(bandwidth, piece)
    spread = moments.directions * np.sqrt(moments.variances)  # (D, R): covariance = spread spread^T
    projected = spread.T @ target.matrix.astype(np.float64)  # (R, C)
    basis, factor = linalg.qr(projected, mode="economic")  # the pieces lie in the span of these
    kernel = factor @ factor.T
    if exponent != 1.0:
        values, vectors = linalg.eigh(kernel)
        kernel = (vectors * np.maximum(values, 0.0) ** exponent) @ vectors.T
    kernel /= max(float(np.trace(kernel)), 1e-300)
    sent = np.zeros_like(kernel)
    pieces: list[NDArray[np.float64]] = []
    for number in range(1, bandwidth // piece + 1):
        lacking = kernel if number == 1 else number * kernel - sent
        values, vectors = linalg.eigh(
            lacking, subset_by_index=(max(0, len(lacking) - piece), len(lacking) - 1)
        )
        power = np.maximum(values[::-1], _EMPTY)
        columns = vectors[:, ::-1] * np.sqrt(power / power.sum())
        sent += columns @ columns.T
        pieces.append(np.pad(columns, ((0, 0), (0, piece - columns.shape[1]))))
    inverse = moments.directions / np.sqrt(moments.variances)
    matrix = inverse @ (basis @ np.concatenate(pieces, axis=1))
    return NestedCode(
        moments.mean.astype(np.float32), np.ascontiguousarray(matrix.astype(np.float32)), piece
    )
