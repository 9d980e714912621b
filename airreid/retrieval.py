"""Retrieval metrics by the rules of the field, from rankings or from scores.

A gallery item of the query's identity *and* camera is dropped from its ranking, and so
is junk, an item of an identity below 0. A query without any remaining item of its
identity has no answer and is not counted. Distractors need no rule: they are items of an
identity that no query has. Among equal scores the item earlier in the gallery comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.signal import EPSILON

_SORT_ABOVE = 48
"""With more right items than this in the gallery, sorting is faster than counting."""

Ranks = NDArray[np.int64]
"""Ranks of a query's right items among what is kept for it, from 0, rising."""


@dataclass(frozen=True)
class Labels:
    """Identity and camera, int64 (n,) each, comparable between gallery and queries."""

    identity: NDArray[np.int64]
    camera: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.identity)

    def take(self, selected: NDArray[np.integer] | NDArray[np.bool_]) -> Labels:
        """Labels at some positions, or where a mask is true."""
        return Labels(self.identity[selected], self.camera[selected])


@dataclass(frozen=True)
class Retrieval:
    """Metrics of a set of queries, and what each query gave, NaN where it does not count."""

    queries: int
    """Queries that have a counterpart in the gallery."""
    top1: float
    top5: float
    top10: float
    mean_ap: float
    mean_inp: float
    """Mean of right items / rank of the last of them (Ye et al., TPAMI 2021, eq. 8)."""
    first_hit: NDArray[np.float64]
    """Rank of the first right item, counted from 0; infinity for a lost query."""


class GalleryRanks:
    """Ranks of a query's right items among a gallery's scores, without sorting them."""

    def __init__(self, gallery: Labels) -> None:
        order = np.argsort(gallery.identity, kind="stable")
        identities, starts = np.unique(gallery.identity[order], return_index=True)
        self._positions = dict(zip(identities.tolist(), np.split(order, starts)[1:], strict=True))
        self._junk = np.flatnonzero(gallery.identity < 0)
        self._camera = gallery.camera

    def of(self, scores: NDArray[np.float64], identity: int, camera: int) -> Ranks | None:
        """Ranks of one query, from its scores (N,), which are used up; None if it does not count.

        Takes one pass over the scores for each right item.
        """
        right, same_camera = self.items(identity, camera)
        if not len(right):
            return None
        scores[same_camera] = -np.inf
        scores[self._junk] = -np.inf
        if len(right) > _SORT_ABOVE:
            place = np.empty(len(scores), np.int64)
            place[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
            return np.sort(place[right])
        ranks = np.empty(len(right), np.int64)
        for i, item in enumerate(right):
            score = scores[item]
            ranks[i] = np.count_nonzero(scores > score)
            if np.count_nonzero(scores >= score) > ranks[i] + 1:
                ranks[i] += np.count_nonzero(scores[:item] == score)
        ranks.sort()
        return ranks

    def of_ranking(self, order: NDArray[np.int64], identity: int, camera: int) -> Ranks | None:
        """Ranks of one query, from the gallery's positions (N,), best first.

        None if the query does not count. The ranks of a lost query, ranked as -1, mean
        nothing.
        """
        right, same_camera = self.items(identity, camera)
        if not len(right):
            return None
        if order[0] < 0:
            return np.arange(len(right), dtype=np.int64)
        ranked = np.ones(len(order), np.bool_)
        ranked[same_camera] = False
        ranked[self._junk] = False
        is_right = np.zeros(len(order), np.bool_)
        is_right[right] = True
        return np.flatnonzero(is_right[order][ranked[order]])

    def items(self, identity: int, camera: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions, rising, of a query's right items, and of those dropped for its camera."""
        items = self._right(identity)
        same_camera = self._camera[items] == camera
        return items[~same_camera], items[same_camera]

    def _right(self, identity: int) -> NDArray[np.int64]:
        positions: NDArray[np.int64] = self._positions.get(identity, np.empty(0, np.int64))
        return positions if identity >= 0 else positions[:0]


def summarise(ranks: Sequence[Ranks | None], lost: Sequence[bool] | None = None) -> Retrieval:
    """Metrics from each query's ranks of right items; None for one that does not count.

    ``lost``: queries that did not arrive, a miss at every rank; their ranks are not used.
    Average precision is the mean of the precision at each right item's rank (the
    non-interpolated form that Market-1501 and CUHK03 results use).
    """
    first = np.full(len(ranks), np.nan)
    precision = np.full(len(ranks), np.nan)
    penalty = np.full(len(ranks), np.nan)
    for row, hits in enumerate(ranks):
        if hits is None:
            continue
        if lost is not None and lost[row]:
            first[row], precision[row], penalty[row] = np.inf, 0.0, 0.0
            continue
        first[row] = hits[0]
        precision[row] = np.mean(np.arange(1, len(hits) + 1) / (hits + 1))
        penalty[row] = len(hits) / (hits[-1] + 1)
    valid = ~np.isnan(first)
    if not valid.any():
        return Retrieval(0, np.nan, np.nan, np.nan, np.nan, np.nan, first)
    first_hits = first[valid]
    return Retrieval(
        queries=int(valid.sum()),
        top1=float((first_hits < 1).mean()),
        top5=float((first_hits < 5).mean()),
        top10=float((first_hits < 10).mean()),
        mean_ap=float(precision[valid].mean()),
        mean_inp=float(penalty[valid].mean()),
        first_hit=first,
    )


def evaluate_ranking(order: NDArray[np.int64], queries: Labels, gallery: Labels) -> Retrieval:
    """Metrics of complete rankings: order (Q, N), each row the gallery's positions, best first.

    A row of -1 is a query that was lost on the way: a miss at every rank.
    """
    by_query = GalleryRanks(gallery)
    rows = zip(order, queries.identity.tolist(), queries.camera.tolist(), strict=True)
    ranks = [by_query.of_ranking(row, identity, camera) for row, identity, camera in rows]
    return summarise(ranks, [bool(row[0] < 0) for row in order])


class NearestMatch:
    """Top-1 of many score matrices over the same queries and gallery; only the best item counts.

    The same rules as the rest of this module, in one pass and without ranks of the others.
    """

    def __init__(self, queries: Labels, gallery: Labels) -> None:
        same = queries.identity[:, None] == gallery.identity
        dropped = (same & (queries.camera[:, None] == gallery.camera)) | (gallery.identity < 0)
        self._right = same & ~dropped & (queries.identity[:, None] >= 0)
        self._penalty = np.where(dropped, np.float32(np.inf), np.float32(0))
        self.counted: NDArray[np.bool_] = self._right.any(axis=1)
        """(Q,): queries that have a right item."""

    def top1(self, scores: NDArray[np.floating]) -> float:
        """Share of the queries that count whose best item is right; scores (Q, N)."""
        hit = self.hits(scores)
        return float(hit.mean()) if len(hit) else float("nan")

    def hits(self, scores: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether the best item is right, of each query that counts; scores (Q, N)."""
        best = (scores - self._penalty).argmax(axis=1)
        hit: NDArray[np.bool_] = self._right[np.arange(len(best)), best][self.counted]
        return hit


def rank(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Positions by falling score, ties in the order of position: (Q, N) -> int64 (Q, N)."""
    return np.argsort(-scores, axis=1, kind="stable")


def cosine(queries: NDArray[np.floating], gallery: NDArray[np.floating]) -> NDArray[np.float64]:
    """Cosine similarities in float64: (Q, D), (N, D) -> (Q, N); 0 for a row of zeros."""
    return np.asarray(unit(queries) @ unit(gallery).T)


def unit(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows (n, D) scaled to length 1 in float64; a row of zeros stays one."""
    values = np.asarray(rows, dtype=np.float64)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), EPSILON))


def people_half_width(rate: float, people: int) -> float:
    """Half of the 95 % interval of a rate over people, if each were a single trial.

    Several queries of one person make it narrower than that, so it is the widest that fits.
    """
    return float(1.96 * np.sqrt(max(rate * (1 - rate), 0.25 / max(people, 1)) / max(people, 1)))


def guessing(queries: Labels, gallery: Labels) -> float:
    """Top-1 of a random ranking: the mean share of right items among those kept for a query."""
    rates = []
    for identity, camera in zip(queries.identity.tolist(), queries.camera.tolist(), strict=True):
        same = gallery.identity == identity
        dropped = (same & (gallery.camera == camera)) | (gallery.identity < 0)
        right = int((same & ~dropped).sum())
        if identity >= 0 and right:
            rates.append(right / int((~dropped).sum()))
    return float(np.mean(rates)) if rates else float("nan")
