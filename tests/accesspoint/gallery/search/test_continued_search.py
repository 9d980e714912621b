"""A search that goes on with a block's next piece finds what a search of the whole finds."""

from __future__ import annotations

import numpy as np
import pytest

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.search.enough import only_enough
from accesspoint.gallery.search.running_scores import OpenBlockMemory, RunningScores
from airreid.nested.stopping import CANDIDATES

from ..short_features import DIM, Opener, new

QUERIES = np.random.default_rng(5).standard_normal((6, DIM)).astype(np.float32)


@pytest.fixture
def crowded(opened: Opener) -> Gallery:
    """Subjects of one or two entries, and one whose many entries are all nearest to a query."""
    gallery = opened("one")
    draws = np.random.default_rng(0)
    crowd = [QUERIES[0] + draws.normal(0, 1e-2, DIM).astype(np.float32) for _ in range(300)]
    gallery.enrol([NewEntry("crowd", "c1", "one", row) for row in crowd])
    gallery.enrol([new(f"p{number // 2}", number) for number in range(60)])
    return gallery


@pytest.mark.parametrize(("top_k", "top_entries"), [(2, 0), (5, 3), (31, 0), (40, 400), (0, 0)])
def test_results_are_those_of_a_search(crowded: Gallery, top_k: int, top_entries: int) -> None:
    scores_of: dict[int, list[float]] = {}

    def is_enough(row: int, scores: list[float]) -> bool:
        scores_of[row] = scores
        return row % 2 == 0

    running = [RunningScores(OpenBlockMemory()) for _ in QUERIES]
    continued = crowded.continue_search("features", QUERIES, running, top_k, top_entries, is_enough)
    searched = crowded.search("features", QUERIES, max(top_k, CANDIDATES), top_entries)
    assert sorted(scores_of) == list(range(len(QUERIES)))
    for row, (result, whole) in enumerate(zip(continued, searched, strict=True)):
        matches = whole.matches[:CANDIDATES]
        assert scores_of[row] == pytest.approx([match.score for match in matches], abs=1e-5)
        if row % 2:
            assert result is None
            continue
        assert result is not None
        assert [match.subject for match in result.matches] == [
            match.subject for match in whole.matches[:top_k]
        ]
        assert len(result.entry_ids) == min(top_entries, 360)
        np.testing.assert_allclose(result.scores, whole.scores[:top_entries], atol=1e-5)


def test_an_index_that_keeps_no_scores_gives_what_it_found(crowded: Gallery) -> None:
    results = crowded.search("features", QUERIES, 12, 0)
    scores_of: dict[int, list[float]] = {}

    def is_enough(row: int, scores: list[float]) -> bool:
        scores_of[row] = scores
        return row == 3

    assert only_enough(results, is_enough) == [
        result if row == 3 else None for row, result in enumerate(results)
    ]
    assert scores_of == {
        row: [match.score for match in result.matches[:CANDIDATES]]
        for row, result in enumerate(results)
    }


def test_nobody_is_found_in_an_empty_gallery(opened: Opener) -> None:
    gallery = opened("one")
    scores_of = list[list[float]]()

    def is_enough(_: int, scores: list[float]) -> bool:
        scores_of.append(scores)
        return True

    running = [RunningScores(OpenBlockMemory())]
    [result] = gallery.continue_search("features", QUERIES[:1], running, 5, 5, is_enough)
    assert scores_of == [[]]
    assert result is not None
    assert result.matches == []
