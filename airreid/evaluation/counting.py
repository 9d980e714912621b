"""Exact ranks from a fast product: float64 decides what lies within the fast one's error.

A score is the cosine in float64, of one pair at a time, so that equal images have equal
scores. Most of the order does not need it. With both vectors scaled to length 1 a product
in another precision, of unit roundoff u, is known to lie near the cosine:

- a sum of b products, in any order, is off by at most b u sum |q_i g_i| (Jeannerod and
  Rump, *Improved error bounds for inner products in floating-point arithmetic*, SIAM J.
  Matrix Anal. Appl. 34, 2013; fewer roundings where multiply and add are fused);
- adding up m such sums one by one costs at most (m - 1) u of the sum of their sizes;
- rounding the vectors beforehand costs 2 u;
- and sum |q_i g_i| <= 1 by Cauchy and Schwarz.

Items further from a right item than this bound stand before or behind it for certain;
those within it are compared by their float64 scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from airreid.retrieval import GalleryRanks, Labels, Ranks, unit
from airreid.signal import EPSILON

ParallelMap = Callable[[Callable[[int], None], Iterable[int]], Iterator[None]]
_CHUNK = 256
"""b: dimensions that the fast product sums at a time; fewer bound it tighter."""
_COLUMNS = 1024
"""Gallery items that are multiplied at a time."""
_PAIRS = 32
"""Pairs that float64 compares at a time: few, so that they stay in a processor's cache."""
_UNDECIDED_SHARE = 16
"""A float64 product of the whole gallery is as fast as one in so many pairs by themselves."""
_DROPPED = -2.0
"""Below every cosine."""
_POSITION: Final = (1 << 29) - 1
"""Bits of a float64 that a float32 leaves free: they carry the position."""


class Undecided:
    """A query with too many items within the error of the fast product."""


UNDECIDED: Final = Undecided()


def half_width(dtype: type[np.floating], dimensions: int) -> float:
    """Distance that a fast score may lie from a right item's cosine and still be above or below it.

    (b + m + 8) u: the bound above has b + m + 1, a position in the free bits of a float32
    adds at most 2, and the rest is more than all terms in u^2 and what underflows. To it
    comes what the two cosines, sums of float64 themselves, may be off.
    """
    chunk = min(_CHUNK, dimensions)
    sums = -(-dimensions // max(chunk, 1))
    exact = 4 * (dimensions + 8) * 2.0**-53
    return float((chunk + sums + 8) * np.finfo(dtype).eps / 2 + exact)


class RankCounter:
    """Ranks of right items in one gallery. Calls may run side by side."""

    def __init__(
        self, gallery: NDArray[np.floating], labels: Labels, parallel_map: ParallelMap = map
    ) -> None:
        """``gallery`` (N, D) is kept, and a copy in float32, scaled to length 1.

        ``parallel_map`` is map, or a pool's: its calls may run side by side too.
        """
        valid = np.flatnonzero(labels.identity >= 0)  # junk is in no ranking
        if len(valid) > _POSITION:
            raise ValueError(f"more than {_POSITION} gallery items")
        self._valid = valid if len(valid) < len(gallery) else None
        self._gallery = gallery
        self._finder = GalleryRanks(labels.take(valid))
        self._length = np.empty(len(valid))
        self._unit = np.empty((len(valid), gallery.shape[1]), np.float32)
        self._positions = np.arange(len(valid))
        list(parallel_map(self._scale, range(0, len(valid), _COLUMNS)))

    def _scale(self, start: int) -> None:
        columns = slice(start, start + _COLUMNS)
        rows = self._rows(columns)
        length = np.maximum(np.linalg.norm(rows, axis=1), EPSILON)
        self._length[columns] = length
        np.divide(rows, length[:, None], out=self._unit[columns], casting="same_kind")

    def __len__(self) -> int:
        return len(self._length)

    def of(
        self, queries: NDArray[np.floating], labels: Labels, dtype: type[np.floating]
    ) -> list[Ranks | Undecided | None]:
        """Ranks of queries (q, D) by a fast product in ``dtype``.

        None for a query that does not count. Holds q N scores. ``UNDECIDED`` comes back of
        float32 only: ask again with float64.
        """
        units = unit(queries)
        scores = self._fast(units.astype(dtype, copy=False))
        half = half_width(dtype, units.shape[1])
        limit = len(self) // _UNDECIDED_SHARE if dtype == np.float32 else None
        pairs = _Pairs(self._gallery)
        keys = np.empty(len(self))
        counted: list[Ranks | Undecided | None] = []
        pairs_of_labels = zip(labels.identity.tolist(), labels.camera.tolist(), strict=True)
        for query, row, (identity, camera) in zip(units, scores, pairs_of_labels, strict=True):
            right, dropped = self._finder.items(identity, camera)
            if not len(right):
                counted.append(None)
                continue
            row[dropped] = _DROPPED
            values, order = self._ordered(row, keys)
            counted.append(self._counts(pairs, query, right, values, order, half, limit))
        return counted

    def _counts(
        self,
        pairs: _Pairs,
        query: NDArray[np.float64],
        right: NDArray[np.int64],
        values: NDArray[np.float64],
        order: NDArray[np.int64],
        half: float,
        limit: int | None,
    ) -> Ranks | Undecided:
        """Ranks of one query's right items, from rising fast scores and their positions."""
        cosine = self._cosines(pairs, query, right)
        first = values.searchsorted(cosine - half, "left")
        last = values.searchsorted(cosine + half, "right")
        near = last - first  # itself among them
        if limit is not None and int(near.sum()) > 2 * len(right) + limit:
            return UNDECIDED
        windows = zip(first.tolist(), last.tolist(), strict=True)
        position = np.concatenate([order[a:b] for a, b in windows] or [order[:0]]) & _POSITION
        item = np.repeat(np.arange(len(right)), near)
        is_other = position != right[item]
        position, item = position[is_other], item[is_other]
        other_cosine = self._cosines(pairs, query, position)
        item_cosine = cosine[item]
        ties = (other_cosine == item_cosine) & (position < right[item])
        before = (other_cosine > item_cosine) | ties
        ranks = len(values) - last + np.bincount(item[before], minlength=len(right))
        ranks.sort()
        return ranks

    def _cosines(
        self, pairs: _Pairs, query: NDArray[np.float64], positions: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Cosines of a query of length 1 (D,) with items, each a sum of its pair alone."""
        if len(positions) > len(self):  # the windows of several right items meet
            distinct, inverse = np.unique(positions, return_inverse=True)
            return np.asarray(self._cosines(pairs, query, distinct)[inverse])
        rows = positions if self._valid is None else self._valid[positions]
        return pairs.dots(query, rows) / self._length[positions]

    def _fast(self, units: NDArray[np.floating]) -> NDArray[np.floating]:
        """Scores (q, N) in the precision of ``units`` (q, D), a few dimensions at a time."""
        scores = np.empty((len(units), len(self)), units.dtype)
        partial = np.empty((len(units), _COLUMNS), units.dtype)
        for start in range(0, len(self), _COLUMNS):
            out = scores[:, start : start + _COLUMNS]
            items = self._units(slice(start, start + _COLUMNS), units.dtype)
            np.matmul(units[:, :_CHUNK], items[:, :_CHUNK].T, out=out)
            for k in range(_CHUNK, units.shape[1], _CHUNK):
                part = partial[:, : out.shape[1]]
                np.matmul(units[:, k : k + _CHUNK], items[:, k : k + _CHUNK].T, out=part)
                np.add(out, part, out=out)
        return scores

    def _units(self, columns: slice, dtype: np.dtype[np.floating]) -> NDArray[np.floating]:
        if dtype == np.float32:
            return self._unit[columns]
        return np.asarray(self._rows(columns) / self._length[columns, None])

    def _rows(self, columns: slice) -> NDArray[np.float64]:
        rows = self._gallery[columns if self._valid is None else self._valid[columns]]
        return np.asarray(rows, np.float64)

    def _ordered(
        self, row: NDArray[np.floating], keys: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Scores (N,) rising, and their positions in the bits of ``_POSITION``."""
        keys[:] = row
        if row.dtype == np.float32:
            order = keys.view(np.int64)
            order |= self._positions
            keys.sort()  # several times as fast as finding their order
            return keys, order
        order = np.argsort(keys)
        return keys[order], order


class _Pairs:
    """Buffers for the vectors of some pairs, used again and again."""

    def __init__(self, gallery: NDArray[np.floating]) -> None:
        shape = min(_PAIRS, max(1, len(gallery))), gallery.shape[1]
        self._gallery = gallery
        self._taken = np.empty(shape, gallery.dtype)
        self._exact = np.empty(shape)

    def dots(self, query: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Products in float64 of a vector (D,) with gallery rows, one BLAS dot for each:
        a matrix times a vector sums its rows in different ways."""
        dots = np.empty((len(rows), 1, 1))
        for start in range(0, len(rows), len(self._taken)):
            chunk = rows[start : start + len(self._taken)]
            taken, exact = self._taken[: len(chunk)], self._exact[: len(chunk)]
            np.take(self._gallery, chunk, axis=0, out=taken, mode="clip")  # "raise" copies twice
            exact[:] = taken
            np.matmul(exact[:, None, :], query[:, None], out=dots[start : start + len(chunk)])
        return dots[:, 0, 0]
