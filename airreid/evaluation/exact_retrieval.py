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
    """Cosine retrieval of queries (Q, D) in a gallery (N, D), by :mod:`airreid.retrieval`'s rules.

    Never holds more than ``_BLOCK`` scores. With ``single_shot`` every metric is the mean
    over the random galleries, and ``first_hit`` is empty. ``tick`` is called with each
    number of queries done. Raises :class:`InputError` for a vector that is not finite.
    """
    for name, vectors in (("query", queries), ("gallery", gallery)):
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise InputError(f"{name} vector {bad[0]} is not finite ({len(bad)} of them)")
    is_lost = None if lost is None else lost.tolist()
    if single_shot is None:
        ranks = _ranks(queries, query_labels, gallery, gallery_labels, tick)
        return summarise(ranks, is_lost)
    galleries = single_shot.galleries(gallery_labels)
    finders = [GalleryRanks(gallery_labels.take(positions)) for positions in galleries]
    ranks_by_gallery: list[list[Ranks | None]] = [[] for _ in galleries]
    for first, scores in _scores(queries, gallery):
        for positions, finder, ranks in zip(galleries, finders, ranks_by_gallery, strict=True):
            for row, values in enumerate(scores[:, positions], first):
                identity, camera = query_labels.identity[row], query_labels.camera[row]
                ranks.append(finder.of(values, int(identity), int(camera)))
        tick(len(scores))
    return average([summarise(ranks, is_lost) for ranks in ranks_by_gallery])


def _ranks(
    queries: NDArray[np.floating],
    query_labels: Labels,
    gallery: NDArray[np.floating],
    gallery_labels: Labels,
    tick: Callable[[int], object],
) -> list[Ranks | None]:
    """Ranks of each query's right items, on all processors; None for one that does not count."""
    workers = os.cpu_count() or 1
    rows = max(1, min(_ROWS, _BLOCK // max(1, len(gallery)) // workers))
    ranks: list[Ranks | None] = [None] * len(queries)

    # One BLAS thread for each of ours: nobody waits for the slower half of a product.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as pool:
        counter = RankCounter(gallery, gallery_labels, pool.map)
        remaining = np.arange(len(queries))
        for dtype in (np.float32, np.float64):
            rounds = max(1, -(-len(remaining) // (rows * workers)))
            blocks = [block for block in np.array_split(remaining, rounds * workers) if len(block)]
            undecided: list[int] = []

            def count(
                block: NDArray[np.int64], dtype: type[np.floating] = dtype
            ) -> list[Ranks | Undecided | None]:
                return counter.of(queries[block], query_labels.take(block), dtype)

            for block, counted in zip(blocks, pool.map(count, blocks), strict=True):
                for row, query_ranks in zip(block.tolist(), counted, strict=True):
                    if isinstance(query_ranks, Undecided):
                        undecided.append(row)
                    else:
                        ranks[row] = query_ranks
                tick(sum(not isinstance(query_ranks, Undecided) for query_ranks in counted))
            remaining = np.asarray(undecided, np.int64)
    return ranks


def average(retrievals: Sequence[Retrieval]) -> Retrieval:
    """Averages every metric; ``first_hit`` is empty."""

    def mean(values: list[float]) -> float:
        return float(np.mean(values))

    return Retrieval(
        queries=retrievals[0].queries,
        top1=mean([retrieval.top1 for retrieval in retrievals]),
        top5=mean([retrieval.top5 for retrieval in retrievals]),
        top10=mean([retrieval.top10 for retrieval in retrievals]),
        mean_ap=mean([retrieval.mean_ap for retrieval in retrievals]),
        mean_inp=mean([retrieval.mean_inp for retrieval in retrievals]),
        first_hit=np.empty(0),
    )


def _scores(
    queries: NDArray[np.floating], gallery: NDArray[np.floating]
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yields (first query, scores of some queries with the whole gallery), in order.

    The scores lie in one array that is used again for the next queries.
    """
    rows = min(max(1, _BLOCK // max(1, len(gallery))), len(queries))
    block = np.empty((rows, len(gallery)))
    for first in range(0, len(queries), rows):
        units = unit(queries[first : first + rows])
        scores = block[: len(units)]
        for start in range(0, len(gallery), _GALLERY_ROWS):
            part = gallery[start : start + _GALLERY_ROWS]
            np.matmul(units, unit(part).T, out=scores[:, start : start + len(part)])
        yield first, scores
