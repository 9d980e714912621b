"""Scores kept between the pieces of a block: the same as a search from the first piece."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

from accesspoint.gallery.search.index import IndexSpec
from accesspoint.gallery.search.running_scores import OpenBlockMemory, RunningScores
from accesspoint.gallery.search.segmented_index import SegmentedIndex
from accesspoint.gallery.settings import GallerySettings

DIM = 128
CLOSE = 1e-6


def index_of(rows: int, seed: int = 0) -> SegmentedIndex:
    spec = IndexSpec("s", "space", "", DIM, "store", None)
    index = SegmentedIndex(spec, GallerySettings(snapshots=False))
    grow(index, 1, rows, seed)
    return index


def grow(index: SegmentedIndex, first: int, rows: int, seed: int) -> None:
    draws = np.random.default_rng(seed)
    vectors = draws.standard_normal((rows, DIM)).astype(np.float32)
    ids = np.arange(first, first + rows, dtype=np.int64)
    index.add(ids, ids, vectors)


def parts(count: int, uses: int) -> np.ndarray:
    whole = np.random.default_rng(7).standard_normal((count, DIM)).astype(np.float32)
    whole[:, uses:] = 0
    return whole


def continued(
    index: SegmentedIndex, embeddings: np.ndarray, running: list[RunningScores], k: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    rows = index.scored_rows()
    assert rows is not None
    products = rows.add_products(embeddings, running)
    lengths = np.linalg.norm(embeddings, axis=1).tolist()
    return [rows.best(*pair, k) for pair in zip(products, lengths, strict=True)]


def assert_as_searched(
    index: SegmentedIndex, embeddings: np.ndarray, running: list[RunningScores], k: int
) -> None:
    """Entries may change places only where their scores are as close as sums in another order."""
    everything, all_ids = index.search(embeddings, len(index))
    answers = continued(index, embeddings, running, k)
    for (scores, ids), row_scores, row_ids in zip(answers, everything, all_ids, strict=True):
        score_of = dict(zip(row_ids.tolist(), row_scores.tolist(), strict=True))
        assert len(set(ids.tolist())) == min(k, len(index))
        np.testing.assert_allclose(scores, row_scores[: len(ids)], atol=CLOSE)
        searched = [score_of[entry_id] for entry_id in ids.tolist()]
        np.testing.assert_allclose(searched, scores, atol=CLOSE)


@pytest.mark.parametrize(
    ("rows", "k"), [(5000, 10), (5000, 40), (5000, 4990), (60, 40), (7, 10), (0, 10)]
)
def test_every_piece_ranks_as_a_search_from_the_first_does(rows: int, k: int) -> None:
    index, memory = index_of(rows), OpenBlockMemory()
    running = [RunningScores(memory) for _ in range(5)]
    for uses in (32, 64, 128):
        assert_as_searched(index, parts(5, uses), running, k)
    assert memory.held == 5 * 4 * rows


def test_blocks_at_different_pieces_are_searched_for_together() -> None:
    index, memory = index_of(3000), OpenBlockMemory()
    running = [RunningScores(memory) for _ in range(4)]
    embeddings = parts(4, 32)
    continued(index, embeddings[:2], running[:2], 5)
    further = parts(4, 64)
    further[2:] = embeddings[2:]
    assert_as_searched(index, further, running, 20)


def test_what_changed_in_between_is_seen() -> None:
    index, running = index_of(3000), [RunningScores(OpenBlockMemory()) for _ in range(3)]
    continued(index, parts(3, 32), running, 5)
    grow(index, 4000, 50, 5)
    assert_as_searched(index, parts(3, 64), running, 30)
    best = [int(ids[0]) for _, ids in continued(index, parts(3, 64), running, 1)]
    index.remove(np.unique(np.asarray(best, np.int64)))
    assert_as_searched(index, parts(3, 96), running, 30)
    other = parts(3, 128)
    other[:, :32] *= 0.5  # a piece that was combined with a further one
    assert_as_searched(index, other, running, 30)


def test_an_open_block_holds_no_entry_that_was_purged() -> None:
    index, running = index_of(2000), [RunningScores(OpenBlockMemory()) for _ in range(3)]
    continued(index, parts(3, 32), running, 5)
    rows = index.scored_rows()
    assert rows is not None
    held = [weakref.ref(segment.vectors) for segment in rows.segments]
    held += [weakref.ref(rows)]
    del rows
    index.remove(np.array([1700], np.int64))
    index.purge(np.array([1700], np.int64))
    gc.collect()
    assert all(reference() is None for reference in held)
    assert_as_searched(index, parts(3, 64), running, 30)


def test_equal_scores_are_in_the_order_of_their_ids() -> None:
    index = index_of(2000)
    rows = index.scored_rows()
    assert rows is not None
    products = np.zeros(2000, np.float32)
    products[[5, 900, 1700]] = 1.0
    _, ids = rows.best(products, 1.0, 6)
    assert ids.tolist() == [6, 901, 1701, 1, 2, 3]


def test_memory_is_bounded_and_given_back() -> None:
    index = index_of(1000)
    memory = OpenBlockMemory(limit=2 * 4000)
    running = [RunningScores(memory) for _ in range(3)]
    for uses in (32, 64):
        assert_as_searched(index, parts(3, uses), running, 5)
        assert memory.held == 8000
    running[0].drop()
    assert memory.held == 4000
    del running
    gc.collect()
    assert memory.held == 0


def test_coded_rows_are_searched_in_their_own_way(tmp_path: Path) -> None:
    spec = IndexSpec("s", "space", "", DIM, "store", None)
    index = SegmentedIndex(spec, GallerySettings(snapshots=False, index="sq8", segment_rows=1024))
    grow(index, 1, 2000, 0)
    index.maintain(0)
    assert {kind for kind, _ in index.kinds()} >= {"sq8"}
    assert index.scored_rows() is None
