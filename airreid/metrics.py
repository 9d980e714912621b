"""Retrieval metrics from complete rankings, by the rules of the field.

A gallery item of the query's identity *and* camera is dropped from its ranking. A
query without any remaining item of its identity has no answer and is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.signal import EPSILON


@dataclass(frozen=True)
class Labels:
    """Whose and by which camera: int64 (n,) each, comparable between gallery and queries."""

    identity: NDArray[np.int64]
    camera: NDArray[np.int64]


@dataclass(frozen=True)
class Retrieval:
    """Metrics of a set of queries, and what each query gave, NaN where it does not count."""

    queries: int
    """Queries that have a counterpart in the gallery."""
    top1: float
    top5: float
    top10: float
    mean_ap: float
    first_hit: NDArray[np.float64]
    """Rank of the first right item, counted from 0; infinity for a lost query."""


def evaluate_ranking(order: NDArray[np.int64], queries: Labels, gallery: Labels) -> Retrieval:
    """Metrics of complete rankings: order (Q, N), each row the gallery's positions, best first.

    A row of -1 is a query that was lost on the way: a miss at every rank.

    Average precision is the mean of the precision at each right item's rank (the
    non-interpolated form that Market-1501 and CUHK03 results use).
    """
    count = len(order)
    first = np.full(count, np.nan)
    precision = np.full(count, np.nan)
    for row in range(count):
        other_camera = gallery.camera != queries.camera[row]
        if not (other_camera & (gallery.identity == queries.identity[row])).any():
            continue
        if order[row, 0] < 0:
            first[row], precision[row] = np.inf, 0.0
            continue
        same = gallery.identity[order[row]] == queries.identity[row]
        hits = np.flatnonzero(same[other_camera[order[row]] | ~same])
        first[row] = hits[0]
        precision[row] = np.mean(np.arange(1, len(hits) + 1) / (hits + 1))
    valid = ~np.isnan(first)
    if not valid.any():
        return Retrieval(0, np.nan, np.nan, np.nan, np.nan, first)
    ranks = first[valid]
    return Retrieval(
        queries=int(valid.sum()),
        top1=float((ranks < 1).mean()),
        top5=float((ranks < 5).mean()),
        top10=float((ranks < 10).mean()),
        mean_ap=float(precision[valid].mean()),
        first_hit=first,
    )


def rank(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Positions by falling score, ties in the order of position: (Q, N) -> int64 (Q, N)."""
    return np.argsort(-scores, axis=1, kind="stable")


def cosine(queries: NDArray[np.floating], gallery: NDArray[np.floating]) -> NDArray[np.float64]:
    """Cosine similarities in float64: (Q, D), (N, D) -> (Q, N); 0 for a row of zeros."""
    q, g = (np.asarray(v, dtype=np.float64) for v in (queries, gallery))
    q = q / np.maximum(np.linalg.norm(q, axis=1, keepdims=True), EPSILON)
    g = g / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), EPSILON)
    return np.asarray(q @ g.T)
