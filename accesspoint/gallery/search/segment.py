"""Segments of an index, which never change: flat, float32 and exact, or coded in 8 bits a value.

A coded segment finds a short list by its codes (FAISS scalar quantiser, signed bytes of
one scale) and ranks the list by vectors kept in float16, whose products with a unit query
are within about 1e-5 of those in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from accesspoint.gallery.search.index import Array, Ids
from accesspoint.gallery.search.largest import largest

Half = NDArray[np.float16]
Kind = Literal["flat", "sq8"]
SHORT_LIST = 64
"""Fewest candidates of the codes that are ranked exactly; twice k if that is more."""
_EXACT_ROWS = 4096
_FEW = 3
"""Most queries that are answered one by one: a product of matrix and vector is read faster."""
_PRODUCTS = 1 << 22
"""Most inner products of queries with a segment that are in memory at a time."""
_SCALE_ROWS, _SCALE_QUANTILE, _SCALE_FIT = 256, 0.9999, 32


class Segment(Protocol):
    """Unit vectors of some entries; ids ascending."""

    @property
    def kind(self) -> Kind: ...

    @property
    def ids(self) -> Ids: ...

    @property
    def digests(self) -> Ids: ...

    def __len__(self) -> int: ...

    def vectors_at(self, rows: NDArray[np.int64]) -> Array:
        """Returns unit vectors of rows, float32 (len(rows), dim)."""

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Returns the arrays that make the segment again."""


@dataclass(frozen=True, eq=False)
class FlatSegment:
    """Vectors as they are, for exact inner products with all of them."""

    ids: Ids
    digests: Ids
    vectors: Array
    """Unit rows, float32 (n, dim); column after column as :func:`flat` makes it, which is read
    up to twice as fast as row after row: 256 dimensions, out of the cache."""

    kind: Literal["flat"] = "flat"

    def __len__(self) -> int:
        return len(self.ids)

    def vectors_at(self, rows: NDArray[np.int64]) -> Array:
        return self.vectors[rows]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        return {"ids": self.ids, "digests": self.digests, "vectors": self.vectors.T}


def flat(ids: Ids, digests: Ids, vectors: Array) -> FlatSegment:
    """Makes a flat segment of unit rows, float32 (n, dim), which are copied where need be."""
    return FlatSegment(ids, digests, np.asfortranarray(vectors))


class CodedSegment:
    """Candidates by 8-bit codes, ranked by float16 vectors, which may lie in a file."""

    kind: Literal["sq8"] = "sq8"

    def __init__(self, ids: Ids, digests: Ids, codes: NDArray[np.uint8], vectors: Half) -> None:
        """Indexes codes uint8 (n, dim), 128 standing for zero, beside vectors float16 (n, dim)."""
        self.ids, self.digests, self.vectors = ids, digests, vectors
        self._scale = _scale(codes, vectors)
        self._index = faiss.IndexScalarQuantizer(
            codes.shape[1],
            faiss.ScalarQuantizer.QT_8bit_direct_signed,
            faiss.METRIC_INNER_PRODUCT,
        )
        self._index.add_sa_codes(codes)

    def __len__(self) -> int:
        return len(self.ids)

    def candidates(self, queries: Array, count: int) -> tuple[Array, NDArray[np.int64]]:
        """Returns approximate inner products and rows, each (n, min(count, len(self)))."""
        faiss.omp_set_num_threads(1)  # of the calling thread
        largest = np.maximum(np.abs(queries).max(axis=1, keepdims=True), 1e-30)
        coded_queries = np.rint(queries * (127 / largest))  # FAISS cuts these, too, to bytes
        scores, rows = self._index.search(coded_queries, min(count, len(self)))
        return scores * (self._scale * largest / 127), rows

    def rank(self, query: Array, rows: NDArray[np.int64]) -> Array:
        """Returns inner products of one query (dim,) with rows: float32 (len(rows),)."""
        return np.asarray(self.vectors[rows].astype(np.float32) @ query)

    def rank_all(self, queries: Array, k: int) -> tuple[Array, Ids]:
        """Returns the best k scores and ids by the vectors alone, each (n, min(k, len(self))),
        unsorted: for a k that is a good part of the segment."""
        k = min(k, len(self))
        scores = np.empty((len(queries), len(self)), np.float32)
        for start in range(0, len(self), _EXACT_ROWS):
            part = self.vectors[start : start + _EXACT_ROWS].astype(np.float32)
            scores[:, start : start + _EXACT_ROWS] = queries @ part.T
        return _best(scores, np.broadcast_to(self.ids, scores.shape), k)

    def vectors_at(self, rows: NDArray[np.int64]) -> Array:
        return self.vectors[rows].astype(np.float32)

    def codes(self) -> NDArray[np.uint8]:
        """Returns a copy of the codes, uint8 (n, dim)."""
        codes = faiss.vector_to_array(self._index.codes)
        return np.asarray(codes, dtype=np.uint8).reshape(len(self), -1)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        return {
            "ids": self.ids,
            "digests": self.digests,
            "codes": self.codes(),
            "vectors": self.vectors,
        }


def scores_at(segment: FlatSegment | CodedSegment, query: Array, rows: NDArray[np.int64]) -> Array:
    """Returns inner products of one query (dim,) with any number of rows: float32 (len(rows),)."""
    if isinstance(segment, FlatSegment):  # all of them are sooner computed than some are gathered
        return np.asarray((segment.vectors @ query)[rows])
    scores = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _EXACT_ROWS):
        piece = slice(start, start + _EXACT_ROWS)
        scores[piece] = segment.rank(query, rows[piece])
    return scores


def search_flat(
    segments: Sequence[FlatSegment], queries: Array, k: int, dead: Ids
) -> tuple[Array, Ids]:
    """Returns scores and ids of the best of the segments, (n, min(k, rows)), best first, ties
    by id; -inf where there are not so many live ones.

    By NumPy's BLAS: FAISS's search without an index takes the same for 64 queries of 2048
    dimensions, but three times as long for 256 dimensions, and for fewer than 20 queries (it
    does not use BLAS then). One choice for all segments: for one query among 10,000, each
    choice would take as long as its products.
    """
    ids = segments[0].ids if len(segments) == 1 else np.concatenate([s.ids for s in segments])
    k = min(k, len(ids))
    scores = np.empty((len(queries), k), np.float32)
    best_ids = np.empty((len(queries), k), np.int64)
    step = max(1, _PRODUCTS // max(1, len(ids)))
    for start in range(0, len(queries) if k else 0, step):
        rows = slice(start, start + step)
        products = _products(queries[rows], segments)
        scores[rows], best_ids[rows] = _best_living(products, ids, k, dead)
    return scores, best_ids


def _products(queries: Array, segments: Sequence[FlatSegment]) -> Array:
    """Returns inner products (n, rows) of queries (n, dim) with the rows of all segments."""
    products = np.empty((len(queries), sum(map(len, segments))), np.float32)
    end = 0
    for segment in segments:
        begin, end = end, end + len(segment)
        if len(queries) > _FEW:
            np.matmul(queries, segment.vectors.T, out=products[:, begin:end])
            continue
        for query, row in zip(queries, products, strict=True):
            np.matmul(segment.vectors, query, out=row[begin:end])
    return products


def _best_living(products: Array, ids: Ids, k: int, dead: Ids) -> tuple[Array, Ids]:
    """Returns the k best of each row and their ids, best first, ties by id; dead ones last, at
    -inf."""
    each = np.arange(len(products))[:, None]
    wanted = k + min(len(dead), k + 16)
    while True:
        wanted = min(wanted, len(ids))
        columns = largest(products, ids, wanted)
        scores, best_ids = products[each, columns], ids[columns]
        if not len(dead):
            return scores, best_ids
        is_dead = np.isin(best_ids, dead)
        scores[is_dead] = -np.inf
        if wanted == len(ids) or np.count_nonzero(~is_dead, axis=1).min() >= k:
            break
        wanted *= 4
    order = np.lexsort((best_ids, -scores), axis=1)[:, :k]
    return scores[each, order], best_ids[each, order]


def search_coded(
    segments: Sequence[CodedSegment], queries: Array, k: int, dead: Ids
) -> tuple[Array, Ids]:
    """Returns scores and ids of the best of the segments, (n, min(k, live rows)), unsorted.

    There is one short list for all segments: scores by their codes can be compared.
    """
    total = sum(map(len, segments))
    if k > total - len(dead):
        k = min(k, total - sum(int(np.isin(s.ids, dead).sum()) for s in segments))
    short = max(SHORT_LIST, 2 * k)
    wanted = short + min(len(dead), short)
    while True:
        if 4 * wanted >= total:
            return _search_all(segments, queries, k, dead)
        candidates = [segment.candidates(queries, wanted) for segment in segments]
        scores = np.concatenate([part_scores for part_scores, _ in candidates], axis=1)
        rows = np.concatenate([part_rows for _, part_rows in candidates], axis=1)
        widths = [part_rows.shape[1] for _, part_rows in candidates]
        owner = np.repeat(np.arange(len(segments)), widths)
        ids = np.concatenate(
            [s.ids[part_rows] for s, (_, part_rows) in zip(segments, candidates, strict=True)],
            axis=1,
        )
        if len(dead):
            scores[np.isin(ids, dead)] = -np.inf
        if (np.isfinite(scores).sum(axis=1) >= k).all():
            break
        wanted *= 4
    best = np.argpartition(-scores, short - 1, axis=1)[:, :short]
    exact = np.full(best.shape, -np.inf, np.float32)
    for i, query in enumerate(queries):
        live = np.isfinite(scores[i, best[i]])
        for number, segment in enumerate(segments):
            places = np.flatnonzero(live & (owner[best[i]] == number))
            exact[i, places] = segment.rank(query, rows[i, best[i, places]])
    return _best(exact, np.take_along_axis(ids, best, 1), k)


def _search_all(
    segments: Sequence[CodedSegment], queries: Array, k: int, dead: Ids
) -> tuple[Array, Ids]:
    ranked = [s.rank_all(queries, k + int(np.isin(s.ids, dead).sum())) for s in segments]
    scores = np.concatenate([part_scores for part_scores, _ in ranked], axis=1)
    ids = np.concatenate([part_ids for _, part_ids in ranked], axis=1)
    return _best(np.where(np.isin(ids, dead), np.float32(-np.inf), scores), ids, k)


def _scale(codes: NDArray[np.uint8], vectors: Half) -> float:
    """Returns the value of one step of the codes, by least squares over a few rows."""
    signed = codes[:_SCALE_FIT].astype(np.float64) - 128
    inside = np.abs(signed) < 127
    values = vectors[:_SCALE_FIT].astype(np.float64)
    return float((signed * values)[inside].sum() / max(np.square(signed[inside]).sum(), 1e-30))


def _best(scores: Array, ids: Ids, k: int) -> tuple[Array, Ids]:
    if k >= scores.shape[1]:
        return scores, ids
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return np.take_along_axis(scores, best, 1), np.take_along_axis(ids, best, 1)


def code(vectors: Array) -> NDArray[np.uint8]:
    """Codes unit rows as bytes: value * scale + 128, clipped; one scale for all, at which one
    value in ten thousand is clipped."""
    step = max(1, len(vectors) // _SCALE_ROWS)
    reach = float(np.quantile(np.abs(vectors[::step]), _SCALE_QUANTILE)) or 1.0
    codes = np.empty(vectors.shape, np.uint8)
    for start in range(0, len(vectors), _EXACT_ROWS):
        part = np.rint(vectors[start : start + _EXACT_ROWS] * (127 / reach))
        codes[start : start + _EXACT_ROWS] = np.clip(part, -127, 127) + 128
    return codes


def coded(ids: Ids, digests: Ids, vectors: Array) -> CodedSegment:
    """Makes a coded segment in memory of unit rows, float32 (n, dim)."""
    return CodedSegment(ids, digests, code(vectors), vectors.astype(np.float16))


def gather(segments: Sequence[Segment], dead: Ids) -> tuple[Ids, Ids, Array]:
    """Returns everything in the segments except ``dead``, sorted by id: ids, digests, vectors."""
    live = [np.flatnonzero(~np.isin(s.ids, dead)) for s in segments]
    ids = np.concatenate([s.ids[rows] for s, rows in zip(segments, live, strict=True)])
    digests = np.concatenate([s.digests[rows] for s, rows in zip(segments, live, strict=True)])
    vectors = np.concatenate([s.vectors_at(rows) for s, rows in zip(segments, live, strict=True)])
    order = np.argsort(ids)
    if (order[1:] > order[:-1]).all():
        return ids, digests, vectors
    return ids[order], digests[order], vectors[order]
