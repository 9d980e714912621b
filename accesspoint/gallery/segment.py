"""Immutable pieces of an index: flat, float32 and exact, or coded in 8 bits a value.

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

from accesspoint.gallery.index import Array, Ids

Half = NDArray[np.float16]
Kind = Literal["flat", "sq8"]
SHORT_LIST = 64
"""Fewest candidates of a coded segment that are ranked exactly; four times k if more."""
_EXACT_ROWS = 4096
_SCALE_ROWS, _SCALE_QUANTILE = 256, 0.9999


class Segment(Protocol):
    """Unit vectors of some entries; ids ascending."""

    @property
    def kind(self) -> Kind: ...

    @property
    def ids(self) -> Ids: ...

    @property
    def digests(self) -> Ids: ...

    def __len__(self) -> int: ...

    def search(self, queries: Array, k: int) -> tuple[Array, Ids]:
        """Inner products and ids, each (n, min(k, len(self))), in any order."""

    def vectors_at(self, rows: NDArray[np.int64]) -> Array:
        """Unit vectors, float32 (len(rows), dim)."""

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What makes the segment again."""


@dataclass(frozen=True, eq=False)
class FlatSegment:
    """Exact inner products over float32 (FAISS, no index of its own)."""

    ids: Ids
    digests: Ids
    vectors: Array
    """Unit rows, float32 (n, dim), contiguous."""

    kind: Literal["flat"] = "flat"

    def __len__(self) -> int:
        return len(self.ids)

    def search(self, queries: Array, k: int) -> tuple[Array, Ids]:
        k = min(k, len(self))
        faiss.omp_set_num_threads(1)  # of the calling thread
        scores, rows = faiss.knn(queries, self.vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
        return scores, self.ids[rows]

    def vectors_at(self, rows: NDArray[np.int64]) -> Array:
        return self.vectors[rows]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        return {"ids": self.ids, "digests": self.digests, "vectors": self.vectors}


class CodedSegment:
    """A short list by 8-bit codes, ranked by float16 vectors, which may lie in a file."""

    kind: Literal["sq8"] = "sq8"

    def __init__(self, ids: Ids, digests: Ids, codes: NDArray[np.uint8], vectors: Half) -> None:
        """codes uint8 (n, dim), 128 standing for zero; vectors float16 (n, dim)."""
        self.ids, self.digests, self.vectors = ids, digests, vectors
        self._index = faiss.IndexScalarQuantizer(
            codes.shape[1],
            faiss.ScalarQuantizer.QT_8bit_direct_signed,
            faiss.METRIC_INNER_PRODUCT,
        )
        self._index.add_sa_codes(codes)

    def __len__(self) -> int:
        return len(self.ids)

    def search(self, queries: Array, k: int) -> tuple[Array, Ids]:
        k = min(k, len(self))
        short = max(SHORT_LIST, 4 * k)
        if 2 * short >= len(self):
            return self._rank_all(queries, k)
        faiss.omp_set_num_threads(1)  # of the calling thread
        _, rows = self._index.search(_whole(queries), short)
        rows.sort(axis=1)  # neighbours in the file are read together
        scores = np.empty((len(queries), short), np.float32)
        for i, query in enumerate(queries):
            scores[i] = self.vectors[rows[i]].astype(np.float32) @ query
        return _best(scores, self.ids[rows], k)

    def _rank_all(self, queries: Array, k: int) -> tuple[Array, Ids]:
        scores = np.empty((len(queries), len(self)), np.float32)
        for start in range(0, len(self), _EXACT_ROWS):
            part = self.vectors[start : start + _EXACT_ROWS].astype(np.float32)
            scores[:, start : start + _EXACT_ROWS] = queries @ part.T
        return _best(scores, np.broadcast_to(self.ids, scores.shape), k)

    def vectors_at(self, rows: NDArray[np.int64]) -> Array:
        return self.vectors[rows].astype(np.float32)

    def codes(self) -> NDArray[np.uint8]:
        """uint8 (n, dim), a copy."""
        codes = faiss.vector_to_array(self._index.codes)
        return np.asarray(codes, dtype=np.uint8).reshape(len(self), -1)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        return {
            "ids": self.ids,
            "digests": self.digests,
            "codes": self.codes(),
            "vectors": self.vectors,
        }


def _whole(queries: Array) -> Array:
    """Each query in whole numbers to 127: FAISS cuts these, too, to bytes."""
    largest = np.abs(queries).max(axis=1, keepdims=True)
    return np.asarray(np.rint(queries * (127 / np.maximum(largest, 1e-30))), np.float32)


def _best(scores: Array, ids: Ids, k: int) -> tuple[Array, Ids]:
    if k >= scores.shape[1]:
        return scores, ids
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return np.take_along_axis(scores, best, 1), np.take_along_axis(ids, best, 1)


def code(vectors: Array) -> NDArray[np.uint8]:
    """Unit rows as bytes: value * scale + 128, clipped; one scale for all, at which one
    value in ten thousand is clipped."""
    step = max(1, len(vectors) // _SCALE_ROWS)
    reach = float(np.quantile(np.abs(vectors[::step]), _SCALE_QUANTILE)) or 1.0
    codes = np.empty(vectors.shape, np.uint8)
    for start in range(0, len(vectors), _EXACT_ROWS):
        part = np.rint(vectors[start : start + _EXACT_ROWS] * (127 / reach))
        codes[start : start + _EXACT_ROWS] = np.clip(part, -127, 127) + 128
    return codes


def coded(ids: Ids, digests: Ids, vectors: Array) -> CodedSegment:
    """A coded segment in memory of unit rows, float32 (n, dim)."""
    return CodedSegment(ids, digests, code(vectors), vectors.astype(np.float16))


def gather(segments: Sequence[Segment], dead: Ids) -> tuple[Ids, Ids, Array]:
    """Everything in some segments except ``dead``, sorted by id: ids, digests, vectors."""
    live = [np.flatnonzero(~np.isin(s.ids, dead)) for s in segments]
    ids = np.concatenate([s.ids[rows] for s, rows in zip(segments, live, strict=True)])
    digests = np.concatenate([s.digests[rows] for s, rows in zip(segments, live, strict=True)])
    vectors = np.concatenate([s.vectors_at(rows) for s, rows in zip(segments, live, strict=True)])
    order = np.argsort(ids)
    if (order[1:] > order[:-1]).all():
        return ids, digests, vectors
    return ids[order], digests[order], vectors[order]
