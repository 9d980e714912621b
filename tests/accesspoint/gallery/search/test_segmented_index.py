"""The index in process against exact search over a plain dict of vectors."""

from __future__ import annotations

import tempfile
import threading
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from accesspoint.gallery.search import segment as segments
from accesspoint.gallery.search.index import IndexSpec
from accesspoint.gallery.search.segment import FlatSegment, coded, search_coded, search_flat
from accesspoint.gallery.search.segmented_index import SegmentedIndex
from accesspoint.gallery.settings import GallerySettings
from airreid.retrieval import cosine

DIM = 16


def spec(folder: Path | None = None, dim: int = DIM) -> IndexSpec:
    return IndexSpec("features", "space", "", dim, "store", folder)


def small(**changes: object) -> GallerySettings:
    """Settings at which a few hundred entries make many segments."""
    return GallerySettings.model_validate(
        {"flat_max": 100, "segment_rows": 64, "snapshot_changes": 50} | changes
    )


def check(
    index: SegmentedIndex, expected: dict[int, np.ndarray], queries: np.ndarray, k: int, atol: float
) -> None:
    """Each answer has the right size, true scores, and nobody better is left out."""
    scores, ids = index.search(queries, k)
    assert scores.shape == ids.shape == (len(queries), min(k, len(expected)))
    if not expected:
        return
    numbers = np.array(list(expected))
    exact = cosine(queries, np.stack(list(expected.values())))
    for row in range(len(queries)):
        result_ids = ids[row].tolist()
        assert len(set(result_ids)) == len(result_ids)
        assert set(result_ids) <= set(expected)
        place = {number: i for i, number in enumerate(numbers.tolist())}
        true = exact[row][[place[number] for number in result_ids]]
        np.testing.assert_allclose(scores[row], true, atol=atol)
        np.testing.assert_allclose(true, -np.sort(-exact[row])[: len(result_ids)], atol=2 * atol)
        assert (np.diff(scores[row]) <= 0).all()


@pytest.mark.parametrize("kind", ["flat", "sq8", "auto"])
def test_agrees_with_exact_search_under_changes(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    index = SegmentedIndex(spec(tmp_path), small(index=kind))
    expected: dict[int, np.ndarray] = {}
    for step in range(60):
        ids = np.arange(step * 10, step * 10 + 10)
        vectors = rng.standard_normal((10, DIM)).astype(np.float32)
        index.add(ids, ids, vectors)
        expected |= dict(zip(ids.tolist(), vectors, strict=True))
        removed = rng.choice(list(expected), size=4, replace=False).tolist()
        index.remove(np.array([*removed, 10_000_000]))
        for number in removed:
            del expected[number]
        if step % 7 == 6:
            index.maintain(step)
        queries = rng.standard_normal((3, DIM)).astype(np.float32)
        check(index, expected, queries, 20, 1e-5 if kind == "flat" else 1e-3)
        assert len(index) == len(expected)
    kinds = {name for name, _ in index.kinds()}
    assert kinds == {"flat"} if kind == "flat" else "sq8" in kinds


class Machine(RuleBasedStateMachine):
    """Any order of changes, merges, purges, snapshots and starts."""

    @initialize(kind=st.sampled_from(["flat", "sq8", "auto"]), seed=st.integers(0, 2**32 - 1))
    def begin(self, kind: str, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.scratch = tempfile.TemporaryDirectory()
        self.settings = small(index=kind, flat_max=20, segment_rows=16, snapshot_changes=1)
        self.index = self.opened()
        self.expected: dict[int, np.ndarray] = {}
        self.next = 1

    def opened(self) -> SegmentedIndex:
        return SegmentedIndex(spec(Path(self.scratch.name)), self.settings)

    @rule(count=st.sampled_from([1, 2, 30, 1500]))
    def add(self, count: int) -> None:
        ids = np.arange(self.next, self.next + count)
        self.next += count
        vectors = self.rng.standard_normal((count, DIM)).astype(np.float32)
        self.index.add(ids, ids * 7, vectors)
        self.expected |= dict(zip(ids.tolist(), vectors, strict=True))

    @rule(share=st.sampled_from([0.01, 0.3, 1.0]))
    def remove(self, share: float) -> None:
        count = int(np.ceil(share * len(self.expected)))
        removed = self.rng.choice(list(self.expected), count, replace=False) if count else []
        self.index.remove(np.array([*removed, self.next + 5], dtype=np.int64))
        for number in removed:
            del self.expected[int(number)]

    @rule()
    def maintain(self) -> None:
        self.index.maintain(self.next)

    @rule()
    def purge(self) -> None:
        self.index.purge(np.zeros(0, np.int64))
        assert sum(rows for _, rows in self.index.kinds()) == len(self.expected)

    @rule()
    def start_again(self) -> None:
        """Does as a start does: removes what the snapshot has too much, and adds the rest."""
        self.index.close()
        self.index = self.opened()
        ids, _ = self.index.held()
        self.index.remove(np.setdiff1d(ids, list(self.expected)))
        missing = np.setdiff1d(list(self.expected), ids)
        assert not len(missing)  # a close leaves nothing to be made anew
        assert set(self.index.held()[0].tolist()) == set(self.expected)

    @rule()
    def be_killed(self) -> None:
        self.index = self.opened()
        ids, _ = self.index.held()
        self.index.remove(np.setdiff1d(ids, list(self.expected)))
        missing = np.setdiff1d(list(self.expected), ids).astype(np.int64)
        if len(missing):
            vectors = np.stack([self.expected[number] for number in missing.tolist()])
            self.index.add(missing, missing * 7, vectors)

    @invariant()
    def equals_the_dict(self) -> None:
        if not hasattr(self, "index"):
            return
        assert len(self.index) == len(self.expected)
        ids, digests = self.index.held()
        assert sorted(ids.tolist()) == sorted(self.expected)
        np.testing.assert_array_equal(digests, ids * 7)
        queries = self.rng.standard_normal((2, DIM)).astype(np.float32)
        check(self.index, self.expected, queries, 5, 1e-3)

    def teardown(self) -> None:
        if hasattr(self, "scratch"):
            self.scratch.cleanup()


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=15,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("queries", [0, 1, 3, 4, 19, 70])
def test_flat_segments_rank_exactly_however_many_ask(
    queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values are small integers, so that every sum is exact and ties are ties."""
    monkeypatch.setattr(segments, "_PRODUCTS", 2500)  # so that 70 queries take several rounds
    rng = np.random.default_rng(queries)
    vectors = rng.integers(-2, 3, (300, 8)).astype(np.float32)
    asked = rng.integers(-2, 3, (queries, 8)).astype(np.float32)
    asked[:1] = 0  # ranks everybody alike
    numbers = np.arange(1000, 1300)
    parts = [
        FlatSegment(numbers[rows], numbers[rows], vectors[rows])
        for rows in (slice(180, 300), slice(0, 180))
    ]
    for k, dead in product((1, 7, 300, 500), (0, 1, 40, 299)):
        removed = np.sort(rng.choice(numbers, dead, replace=False))
        scores, ids = search_flat(parts, asked, k, removed)
        assert scores.shape == ids.shape == (queries, min(k, 300))
        for query, got, who in zip(asked, scores, ids, strict=True):
            true = {
                n: float(sum(query * row))
                for n, row in zip(numbers.tolist(), vectors, strict=True)
                if n not in removed
            }
            best = sorted(true, key=lambda n: (-true[n], n))[:k]
            assert who[: len(best)].tolist() == best
            assert got[: len(best)].tolist() == [true[n] for n in best]
            assert (got[len(best) :] == -np.inf).all()


def test_ties_are_in_the_order_of_ids() -> None:
    index = SegmentedIndex(spec(dim=2), small())
    numbers = np.array([3, 5, 9])
    index.add(numbers, numbers, np.array([[2, 0], [1, 0], [4, 0]], np.float32))
    assert index.search(np.array([[1, 0]], np.float32), 3)[1].tolist() == [[3, 5, 9]]


def test_an_empty_index_finds_nobody() -> None:
    scores, ids = SegmentedIndex(spec(dim=4), small()).search(np.ones((2, 4), np.float32), 5)
    assert scores.shape == ids.shape == (2, 0)


def test_short_list_of_codes_holds_the_nearest_of_many() -> None:
    """Clusters so tight that the codes alone would confuse their members."""
    rng = np.random.default_rng(1)
    centres = np.repeat(rng.standard_normal((400, 256)), 20, axis=0)
    vectors = (centres + 0.3 * rng.standard_normal(centres.shape)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    numbers = np.arange(len(vectors))
    segment = coded(numbers, numbers, vectors)
    picked = rng.choice(len(vectors), 400)
    queries = vectors[picked] + (0.2 / 16) * rng.standard_normal((400, 256)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    scores, ids = search_coded([segment], queries, 10, np.zeros(0, np.int64))
    best = ids[np.arange(400), scores.argmax(axis=1)]
    exact = queries @ vectors.T
    assert (best == exact.argmax(axis=1)).mean() >= 0.999
    nearest = -np.sort(-exact, axis=1)[:, :10]
    np.testing.assert_allclose(-np.sort(-scores, axis=1), nearest, atol=2e-4)


def test_one_short_list_for_segments_of_different_scale() -> None:
    """Codes of a segment with far larger values, of a tiny one, and tombstones between."""
    rng = np.random.default_rng(3)
    index = SegmentedIndex(spec(dim=64), small(index="sq8", segment_rows=1024))
    vectors = rng.standard_normal((5000, 64)).astype(np.float32)
    vectors[1024:2048, :3] *= 20  # a few values carry these rows
    expected: dict[int, np.ndarray] = {}
    for start in (0, 1024, 2048, 3072, 4096):
        ids = np.arange(start, min(5000, start + 1024))
        index.add(ids, ids, vectors[ids])
        index.maintain(0)
        expected |= dict(zip(ids.tolist(), vectors[ids], strict=True))
    removed = rng.choice(5000, 300, replace=False)
    index.remove(removed)
    for number in removed.tolist():
        del expected[number]
    assert len(index.kinds()) >= 4
    queries = vectors[rng.choice(list(expected), 50)] + 0.3 * rng.standard_normal((50, 64))
    check(index, expected, queries.astype(np.float32), 10, 1e-3)


def test_searching_while_everything_changes() -> None:
    """Entries that stay are always found, first and with their score, whatever goes on."""
    rng = np.random.default_rng(2)
    index = SegmentedIndex(spec(), small(flat_max=200, segment_rows=128))
    stay = rng.standard_normal((50, DIM)).astype(np.float32)
    numbers = np.arange(1, 51)
    index.add(numbers, numbers, stay)
    done = threading.Event()
    wrong: list[object] = []

    def search() -> None:
        while not done.is_set():
            scores, ids = index.search(stay, 3)
            if (ids[:, 0] != numbers).any() or (abs(scores[:, 0] - 1) > 1e-3).any():
                wrong.append((scores, ids))

    def tidy() -> None:
        while not done.is_set():
            index.maintain(0)

    threads = [threading.Thread(target=work) for work in (search, search, tidy)]
    for thread in threads:
        thread.start()
    for step in range(120):
        ids = np.arange(100 + step * 20, 120 + step * 20)
        index.add(ids, ids, rng.standard_normal((20, DIM)).astype(np.float32))
        index.remove(ids[:13])
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(index) == 50 + 120 * 7


@pytest.mark.parametrize("kind", ["flat", "sq8"])
def test_scores_of_some_entries_are_those_of_a_search(kind: str) -> None:
    rng = np.random.default_rng(1)
    index = SegmentedIndex(spec(), small(index=kind))
    vectors = rng.standard_normal((1300, DIM)).astype(np.float32)
    for ids in np.split(np.arange(1300), [1100, 1200]):  # the last ones stay in the tail
        index.add(ids, ids, vectors[ids])
    index.remove(np.array([7, 1280]))
    sought = np.array([3, 7, 60, 1199, 1255, 1280, 1299, 2000])
    query = rng.standard_normal(DIM).astype(np.float32)
    scores = index.scores_of(query, sought)
    exact = cosine(query[None], vectors[[3, 60, 1199, 1255, 1299]])[0]
    np.testing.assert_allclose(scores[[0, 2, 3, 4, 6]], exact, atol=1e-3)
    assert (scores[[1, 5, 7]] == -np.inf).all()
    assert {name for name, _ in index.kinds()} >= {kind}
