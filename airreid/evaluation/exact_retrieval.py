"""Exact retrieval of many queries in many gallery images, a block of scores at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from airreid.errors import InputError
from airreid.evaluation.counting import RankCounter, Undecided
from airreid.retrieval import GalleryRanks, Labels, Ranks, Retrieval, summarise, unit

_BLOCK = 16 << 20
"""Scores held at a time, at most 8 bytes each."""
_ROWS = 256
"""Queries that a processor multiplies with the gallery at a time."""
_GALLERY_ROWS = 1024
REPEATS = 100
"""Random galleries of the single-shot protocol."""


@dataclass(frozen=True)
class SingleShot:
    """One gallery image of an identity and camera at a time, drawn ``repeats`` times."""

    repeats: int = REPEATS
    seed: int = 0

    def galleries(self, gallery: Labels) -> list[NDArray[np.int64]]:
        """Positions that each of the random galleries has, rising; junk is in none.

        Drawn by NumPy's PCG64 of ``seed``: the same on every machine.
        """
        rng = np.random.Generator(np.random.PCG64(self.seed))
        people = np.flatnonzero(gallery.identity >= 0)
        kinds = np.stack([gallery.identity[people], gallery.camera[people]], axis=1)
        _, group, sizes = np.unique(kinds, axis=0, return_inverse=True, return_counts=True)
        members = people[np.argsort(group.ravel(), kind="stable")]
        starts = np.cumsum(sizes) - sizes
        return [np.sort(members[starts + rng.integers(0, sizes)]) for _ in range(self.repeats)]


def retrieve(
    queries: NDArray[np.floating],
    query_labels: Labels,
    gallery: NDArray[np.floating],
    gallery_labels: Labels,
    lost: NDArray[np.bool_] | None = None,
    single_shot: SingleShot | None = None,
    tick: Callable[[int], object] = lambda rows: None,
) -> Retrieval:
    """Cosine retrieval of queries (Q, D) in a gallery (N, D), by :mod:`airreid.retrieval`' rules.

    Never holds more than ``_BLOCK`` scores. With ``single_shot`` every metric is the mean
    over the random galleries, and ``first_hit`` is empty. ``tick`` is called with each
    number of queries done. Raises :class:`InputError` for a vector that is not finite.
    """
    for name, vectors in (("query", queries), ("gallery", gallery)):
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise InputError(f"{name} vector {bad[0]} is not finite ({len(bad)} of them)")
    gone = None if lost is None else lost.tolist()
    if single_shot is None:
        ranks = _ranks(queries, query_labels, gallery, gallery_labels, tick)
        return summarise(ranks, gone)
    chosen = single_shot.galleries(gallery_labels)
    finders = [GalleryRanks(gallery_labels.take(at)) for at in chosen]
    each: list[list[Ranks | None]] = [[] for _ in chosen]
    for first, scores in _scores(queries, gallery):
        for at, finder, into in zip(chosen, finders, each, strict=True):
            for row, values in enumerate(scores[:, at], first):
                whose = int(query_labels.identity[row]), int(query_labels.camera[row])
                into.append(finder.of(values, *whose))
        tick(len(scores))
    return average([summarise(one, gone) for one in each])


def _ranks(
    queries: NDArray[np.floating],
    query_labels: Labels,
    gallery: NDArray[np.floating],
    gallery_labels: Labels,
    tick: Callable[[int], object],
) -> list[Ranks | None]:
    """Of each query's right items, on all processors; None for a query that does not count."""
    workers = os.cpu_count() or 1
    rows = max(1, min(_ROWS, _BLOCK // max(1, len(gallery)) // workers))
    ranks: list[Ranks | None] = [None] * len(queries)

    # One BLAS thread for each of ours: nobody waits for the slower half of a product.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as pool:
        counter = RankCounter(gallery, gallery_labels, pool.map)
        left = np.arange(len(queries))
        for dtype in (np.float32, np.float64):
            rounds = max(1, -(-len(left) // (rows * workers)))
            blocks = [some for some in np.array_split(left, rounds * workers) if len(some)]
            undecided: list[int] = []

            def found(
                at: NDArray[np.int64], dtype: type[np.floating] = dtype
            ) -> list[Ranks | Undecided | None]:
                return counter.of(queries[at], query_labels.take(at), dtype)

            for at, some in zip(blocks, pool.map(found, blocks), strict=True):
                for row, one in zip(at.tolist(), some, strict=True):
                    if isinstance(one, Undecided):
                        undecided.append(row)
                    else:
                        ranks[row] = one
                tick(sum(not isinstance(one, Undecided) for one in some))
            left = np.asarray(undecided, np.int64)
    return ranks


def average(found: Sequence[Retrieval]) -> Retrieval:
    """The mean of every metric; ``first_hit`` is empty."""

    def mean(values: list[float]) -> float:
        return float(np.mean(values))

    return Retrieval(
        queries=found[0].queries,
        top1=mean([one.top1 for one in found]),
        top5=mean([one.top5 for one in found]),
        top10=mean([one.top10 for one in found]),
        mean_ap=mean([one.mean_ap for one in found]),
        mean_inp=mean([one.mean_inp for one in found]),
        first_hit=np.empty(0),
    )


def _scores(
    queries: NDArray[np.floating], gallery: NDArray[np.floating]
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """(first query, scores of some queries with the whole gallery), in order.

    The scores lie in one array that is used again for the next queries.
    """
    rows = min(max(1, _BLOCK // max(1, len(gallery))), len(queries))
    block = np.empty((rows, len(gallery)))
    for first in range(0, len(queries), rows):
        some = unit(queries[first : first + rows])
        scores = block[: len(some)]
        for start in range(0, len(gallery), _GALLERY_ROWS):
            part = gallery[start : start + _GALLERY_ROWS]
            np.matmul(some, unit(part).T, out=scores[:, start : start + len(part)])
        yield first, scores
