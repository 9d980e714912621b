"""Ranks decided by a fast product and its error bound, against exact sums in plain Python."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from airreid.evaluation import counting
from airreid.evaluation.counting import UNDECIDED, RankCounter, half_width
from airreid.retrieval import Labels, unit
from airreid.signal import EPSILON

Problem = tuple[NDArray[np.float32], Labels, NDArray[np.float32], Labels]


def nudged(row: NDArray[np.float32], index: int) -> NDArray[np.float32]:
    """The next float32 in one place."""
    other = row.copy()
    other[index] = np.nextafter(other[index], np.float32(np.inf))
    return other


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Crops that are nearly or wholly alike, their negatives, and some of no or tiny length."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dim = draw(st.sampled_from([2, 3, 8, 40]))
    kinds = rng.standard_normal((draw(st.integers(1, 3)), dim)).astype(np.float32)

    def variant() -> NDArray[np.float32]:
        row = kinds[rng.integers(len(kinds))]
        return [
            row,
            row.copy(),
            nudged(row, int(rng.integers(dim))),
            -row,
            row * np.float32(0.5),
            row * np.float32(2.0**-100),
            np.zeros_like(row),
            rng.standard_normal(dim).astype(np.float32),
        ][rng.integers(8)]

    def labels(count: int, lowest: int) -> Labels:
        return Labels(rng.integers(lowest, 4, count), rng.integers(0, 3, count))

    counts = draw(st.integers(1, 9)), draw(st.integers(1, 90))
    queries, gallery = (np.stack([variant() for _ in range(n)]) for n in counts)
    # Not along a gallery vector: there, a nudge changes the cosine less than float64 shows.
    sizes = rng.choice([0.0, 2.0**-100, 1.0], (counts[0], 1), p=[0.1, 0.1, 0.8])
    queries = (sizes * (queries + rng.standard_normal(queries.shape))).astype(np.float32)
    return queries, labels(counts[0], 1), gallery, labels(counts[1], -1)


def cosines(queries: NDArray[np.float32], gallery: NDArray[np.float32]) -> list[list[float]]:
    """Exactly rounded sums; lengths are EPSILON at least."""

    def lengths(rows: list[list[float]]) -> list[float]:
        return [max(math.sqrt(math.fsum(x * x for x in row)), EPSILON) for row in rows]

    ours, theirs = queries.tolist(), gallery.tolist()
    return [
        [
            math.fsum(a * b for a, b in zip(q, g, strict=True)) / (length * other)
            for g, other in zip(theirs, lengths(theirs), strict=True)
        ]
        for q, length in zip(ours, lengths(ours), strict=True)
    ]


def clear(scores: list[list[float]]) -> bool:
    """Are scores equal, or further apart than float64 may be off?"""
    return all(
        b - a > 1e-12 * max(abs(a), abs(b)) for row in scores for a, b in pairwise(sorted(set(row)))
    )


def definition(problem: Problem) -> list[list[int] | None]:
    """By exactly rounded sums."""
    queries, whose, gallery, theirs = problem
    all_ranks: list[list[int] | None] = []
    scores = cosines(queries, gallery)
    for row, identity, camera in zip(
        scores,
        whose.identity.tolist(),
        whose.camera.tolist(),
        strict=True,
    ):
        ranked = [
            g
            for g, (i, c) in enumerate(
                zip(theirs.identity.tolist(), theirs.camera.tolist(), strict=True)
            )
            if i >= 0 and (i, c) != (identity, camera)
        ]
        ranked.sort(key=lambda g, row=row: (-row[g], g))  # type: ignore[misc]
        ranks = [rank for rank, g in enumerate(ranked) if theirs.identity[g] == identity]
        all_ranks.append(ranks or None)
    return all_ranks


@given(problems(), st.sampled_from([np.float32, np.float64]), st.sampled_from([1, 3, 64]))
@settings(max_examples=200, deadline=None)
def test_near_and_real_ties(problem: Problem, dtype: type[np.floating], size: int) -> None:
    queries, whose, gallery, theirs = problem
    assume(clear(cosines(queries, gallery)))
    expected = definition(problem)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_CHUNK", "_COLUMNS", "_PAIRS"):
            patch.setattr(counting, name, size)
        counted = RankCounter(gallery, theirs).of(queries, whose, dtype)
    for ours, right in zip(counted, expected, strict=True):
        if ours is UNDECIDED:
            assert dtype == np.float32
        elif right is None:
            assert ours is None
        else:
            assert list(ours) == right  # type: ignore[arg-type]


def crowd(count: int, dim: int, seed: int) -> NDArray[np.float32]:
    """One vector, each time nudged in another place: cosines with it differ by about 1e-9."""
    rng = np.random.default_rng(seed)
    base = rng.standard_normal(dim).astype(np.float32)
    return np.stack([nudged(base, int(index)) for index in rng.permutation(dim)[:count]])


def test_what_float32_cannot_tell_apart_is_ranked_right() -> None:
    rng = np.random.default_rng(0)
    alike = crowd(6, 300, 1)
    gallery = np.concatenate([rng.standard_normal((400, 300)).astype(np.float32), alike])
    gallery = gallery[rng.permutation(len(gallery))]
    theirs = Labels(rng.integers(0, 9, len(gallery)), np.ones(len(gallery), np.int64))
    queries = (alike[:1] + rng.standard_normal((20, 300))).astype(np.float32)
    whose = Labels(rng.integers(0, 9, 20), np.zeros(20, np.int64))
    expected = definition((queries, whose, gallery, theirs))
    counted = RankCounter(gallery, theirs).of(queries, whose, np.float32)
    assert [list(ranks) for ranks in counted] == expected  # type: ignore[arg-type]
    single = unit(queries).astype(np.float32) @ unit(gallery).astype(np.float32).T
    order = np.argsort(-single, axis=1, kind="stable")
    naive = [
        np.flatnonzero(theirs.identity[row] == i).tolist()
        for row, i in zip(order, whose.identity, strict=True)
    ]
    assert naive != expected  # the case is one that needs float64


def test_too_many_alike_are_left_to_float64() -> None:
    gallery = np.repeat(crowd(4, 64, 2), 50, axis=0)
    theirs = Labels(np.arange(200) % 5, np.ones(200, np.int64))
    queries, whose = gallery[:2], Labels(np.array([3, 9]), np.zeros(2, np.int64))
    counter = RankCounter(gallery, theirs)
    assert counter.of(queries, whose, np.float32) == [UNDECIDED, None]
    ranks, nobody = counter.of(queries, whose, np.float64)
    assert nobody is None
    assert list(ranks) == definition((queries, whose, gallery, theirs))[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(("dim", "chunk"), [(5, 256), (2048, 256), (2048, 4096), (1000, 96)])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_the_bound_holds(
    monkeypatch: pytest.MonkeyPatch, dim: int, chunk: int, spread: float
) -> None:
    # Sums of equal numbers round the same way again and again: the worst there is.
    monkeypatch.setattr(counting, "_CHUNK", chunk)
    rng = np.random.default_rng(3)
    queries, gallery = (
        (0.7 + spread * rng.standard_normal((n, dim))).astype(np.float32) for n in (6, 9)
    )
    theirs = Labels(np.arange(9), np.zeros(9, np.int64))
    counter = RankCounter(gallery, theirs)
    fast = counter._fast(unit(queries).astype(np.float32)).astype(np.float64)
    exact = np.asarray(cosines(queries, gallery))
    off = np.abs(fast - exact).max()
    assert off <= half_width(np.float32, dim)
