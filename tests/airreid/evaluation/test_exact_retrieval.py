"""The evaluator against the protocols written out in plain Python."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import airreid.evaluation.exact_retrieval as module
from airreid.errors import InputError
from airreid.evaluation import counting
from airreid.evaluation.exact_retrieval import SingleShot, retrieve
from airreid.evaluation.interval import mean_of
from airreid.retrieval import GalleryRanks, Labels, Retrieval, evaluate_ranking, rank, summarise

from . import oracle


def values(retrieval: Retrieval) -> dict[str, float]:
    every = asdict(retrieval)
    del every["first_hit"]
    every["map"], every["minp"] = every.pop("mean_ap"), every.pop("mean_inp")
    return every


def items(labels: Labels) -> list[oracle.Item]:
    return list(zip(labels.identity.tolist(), labels.camera.tolist(), strict=True))


def same(retrieval: Retrieval, expected: dict[str, float]) -> None:
    assert values(retrieval) == pytest.approx(expected, nan_ok=True, rel=1e-12)


def evaluate_scores(
    scores: np.ndarray, queries: Labels, gallery: Labels, lost: np.ndarray
) -> Retrieval:
    """Metrics from scores (Q, N), higher is better, without a ranking."""
    by_query = GalleryRanks(gallery)
    rows = zip(scores, queries.identity.tolist(), queries.camera.tolist(), strict=True)
    ranks = [
        by_query.of(row.astype(np.float64), identity, camera) for row, identity, camera in rows
    ]
    return summarise(ranks, lost.tolist())


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, Labels, Labels, np.ndarray]:
    """Few score levels, so many ties; identity -1 is junk, 0 a distractor; people whom the
    gallery lacks, or has by the query's camera alone; now and then very many right items."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, size = draw(st.integers(1, 12)), draw(st.integers(1, 150))
    people, cameras = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    levels = draw(st.sampled_from([1, 3, 1000]))
    scores = rng.integers(-levels, levels + 1, (count, size)) / 8
    queries = Labels(rng.integers(1, people + 2, count), rng.integers(0, cameras, count))
    gallery = Labels(rng.integers(-1, people + 1, size), rng.integers(0, cameras, size))
    return scores, queries, gallery, rng.random(count) < 0.2


@given(problems())
@settings(max_examples=150, deadline=None)
def test_scores_rankings_and_definition_agree(
    problem: tuple[np.ndarray, Labels, Labels, np.ndarray],
) -> None:
    scores, queries, gallery, lost = problem
    expected = oracle.measures(scores.tolist(), items(queries), items(gallery), lost.tolist())
    before = scores.copy()
    same(evaluate_scores(scores, queries, gallery, lost), expected)
    np.testing.assert_array_equal(scores, before)
    order = rank(scores)
    order[lost] = -1
    same(evaluate_ranking(order, queries, gallery), expected)


@pytest.mark.parametrize("block", [1, 37, 1 << 20])
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    rng = np.random.default_rng(1)
    # Small whole numbers: many vectors are equal, and so are their cosines.
    queries, gallery = (rng.integers(-1, 2, (n, 4)).astype(np.float32) for n in (30, 53))
    labels = [Labels(rng.integers(1, 7, n), rng.integers(0, 3, n)) for n in (30, 53)]
    labels[1].identity[:9] = rng.integers(-1, 1, 9)
    whole = retrieve(queries, labels[0], gallery, labels[1])
    monkeypatch.setattr(module, "_BLOCK", block)
    monkeypatch.setattr(module, "_ROWS", 7)
    monkeypatch.setattr(counting, "_COLUMNS", 10)
    done: list[int] = []
    chunked = retrieve(queries, labels[0], gallery, labels[1], tick=done.append)
    same(chunked, values(whole))
    np.testing.assert_array_equal(chunked.first_hit, whole.first_hit)
    assert sum(done) == 30
    scores = oracle.cosines(queries.tolist(), gallery.tolist())
    expected = oracle.measures(scores, items(labels[0]), items(labels[1]))
    assert chunked.queries == expected["queries"]
    # Equal cosines of different vectors may differ in the last bit: nearly the same.
    assert chunked.mean_ap == pytest.approx(expected["map"], abs=0.05)


def test_continuous_features_agree_with_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 500)
    monkeypatch.setattr(counting, "_COLUMNS", 32)
    rng = np.random.default_rng(2)
    queries, gallery = (rng.standard_normal((n, 8)).astype(np.float32) for n in (40, 90))
    labels = [Labels(rng.integers(1, 12, n), rng.integers(0, 3, n)) for n in (40, 90)]
    labels[1].identity[::7] = -1
    labels[1].identity[::5] = 0
    scores = oracle.cosines(queries.tolist(), gallery.tolist())
    expected = oracle.measures(scores, items(labels[0]), items(labels[1]))
    same(retrieve(queries, labels[0], gallery, labels[1]), expected)


def test_single_shot_is_the_mean_over_galleries_of_one_image_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_BLOCK", 500)
    monkeypatch.setattr(module, "_GALLERY_ROWS", 32)
    rng = np.random.default_rng(3)
    queries, gallery = (rng.standard_normal((n, 6)) for n in (25, 60))
    labels = [Labels(rng.integers(1, 9, n), np.full(n, c)) for c, n in enumerate((25, 60))]
    labels[1].identity[:4] = -1
    protocol = SingleShot(repeats=7, seed=5)
    chosen = protocol.galleries(labels[1])
    scores = np.asarray(oracle.cosines(queries.tolist(), gallery.tolist()))
    each = []
    for rows in chosen:
        picked = labels[1].take(rows)
        assert sorted(picked.identity.tolist()) == list(range(1, 9))
        each.append(oracle.measures(scores[:, rows].tolist(), items(labels[0]), items(picked)))
    retrieval = retrieve(queries, labels[0], gallery, labels[1], single_shot=protocol)
    same(
        retrieval, {name: float(np.mean([measures[name] for measures in each])) for name in each[0]}
    )
    again = SingleShot(repeats=7, seed=5).galleries(labels[1])
    np.testing.assert_array_equal(np.stack(chosen), np.stack(again))
    assert np.any(np.stack(SingleShot(repeats=7, seed=6).galleries(labels[1])) != np.stack(chosen))
    # Every image of an identity gets its turn.
    many = np.concatenate(SingleShot(repeats=300).galleries(labels[1]))
    assert set(many.tolist()) == set(range(4, 60))


def test_a_vector_that_is_not_finite_is_refused() -> None:
    labels = Labels(np.array([1, 2]), np.array([0, 1]))
    bad = np.array([[1.0, 0.0], [np.nan, 0.0]])
    with pytest.raises(InputError, match="query vector 1 is not finite"):
        retrieve(bad, labels, np.ones((2, 2)), labels)


def test_students_interval() -> None:
    # Published critical value: t(0.975, 4) = 2.776.
    mean = mean_of([0.1, 0.2, 0.3, 0.4, 0.5])
    assert mean.value == pytest.approx(0.3)
    assert mean.half_width == pytest.approx(2.776 * np.sqrt(0.025) / np.sqrt(5), rel=1e-3)
    assert np.isnan(mean_of([0.5]).half_width)
