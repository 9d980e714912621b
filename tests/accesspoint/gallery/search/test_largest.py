"""The selection of the largest scores agrees with a full sort."""

from __future__ import annotations

import numpy as np
import pytest

from accesspoint.gallery.search.largest import largest, largest_of_row


def _sorted_whole(scores: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
    order = np.lexsort((np.broadcast_to(ids, scores.shape), -scores), axis=1)
    return np.asarray(order[:, :count])


@pytest.mark.parametrize(
    ("rows", "columns", "count"),
    [(1, 1, 1), (3, 7, 7), (5, 639, 4), (4, 641, 20), (64, 3000, 10), (2, 5000, 1), (3, 900, 700)],
)
@pytest.mark.parametrize("values", [2, 30, 1_000_000])
def test_it_agrees_with_a_full_sort(rows: int, columns: int, count: int, values: int) -> None:
    """``values`` 2: most are equal, so that the ids decide."""
    rng = np.random.default_rng(rows * columns + values)
    scores = rng.integers(0, values, (rows, columns)).astype(np.float32)
    ids = rng.permutation(columns)
    expected = _sorted_whole(scores, ids, count)
    assert (largest(scores, ids, count) == expected).all()
    for row, columns_expected in zip(scores, expected, strict=True):
        assert (largest_of_row(row, ids, count) == columns_expected).all()


def test_the_best_may_all_be_in_one_group_and_at_the_end() -> None:
    scores = np.zeros((2, 2000), np.float32)
    scores[0, ::31][:20] = np.arange(20, 0, -1)
    scores[1, -3:] = [1, 3, 2]
    ids = np.arange(2000)
    assert (largest(scores, ids, 12) == _sorted_whole(scores, ids, 12)).all()


def test_what_is_no_number_changes_no_other_row() -> None:
    scores = np.random.default_rng(0).standard_normal((3, 2000)).astype(np.float32)
    ids = np.arange(2000)
    expected = _sorted_whole(scores, ids, 10)
    scores[1] = np.nan
    scores[2, ::300] = np.nan
    columns = largest(scores, ids, 10)
    assert (columns[0] == expected[0]).all()
    assert all(len(set(row)) == 10 for row in columns.tolist())
    assert all(len(set(largest_of_row(row, ids, 10).tolist())) == 10 for row in scores)
