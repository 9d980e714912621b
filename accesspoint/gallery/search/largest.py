"""Selection of the largest of many scores: exact, by a bound that few of them reach."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accesspoint.gallery.search.index import Array, Ids

_GROUP = 64
"""Most scores of which one is the best of its group."""
_FEWEST = 8
"""Fewest scores of a group: the best of smaller ones are no cheaper than those of all."""
_GROUPS_PER_WANTED = 4
"""Fewest groups for each score that is wanted: with fewer, many more scores reach the bound."""


def largest(scores: Array, ids: Ids, count: int) -> NDArray[np.int64]:
    """Returns columns (n, count) of each row's largest, best first; of equals the smallest ids.

    scores: (n, m); ids: (m,); count: 1 to m. A row with a NaN gets different columns, but any.
    """
    size = min(_GROUP, scores.shape[1] // (_GROUPS_PER_WANTED * count))
    if size < _FEWEST:
        return _largest_of_few(scores, ids, count)
    # not ">=": below a NaN there must be as many places as elsewhere
    places = np.flatnonzero(~(scores < _bounds(scores, count, size)[:, None]))
    rows, columns = np.divmod(places, scores.shape[1])
    order = np.lexsort((ids[columns], -scores[rows, columns], rows))
    first = np.searchsorted(rows, np.arange(len(scores)))
    return np.asarray(columns[order[first[:, None] + np.arange(count)]])


def largest_of_row(scores: Array, ids: Ids, count: int) -> NDArray[np.int64]:
    """Returns :func:`largest` of one row (m,), columns (count,), in half the time."""
    size = min(_GROUP, len(scores) // (_GROUPS_PER_WANTED * count))
    if size < _FEWEST:
        return np.asarray(_largest_of_few(scores[None], ids, count)[0])
    columns = np.flatnonzero(~(scores < _bounds(scores[None], count, size)[0]))
    order = np.lexsort((ids[columns], -scores[columns]))
    return np.asarray(columns[order[:count]])


def _bounds(scores: Array, count: int, size: int) -> Array:
    """Returns a value (n,) for each row that at least ``count`` of its scores reach, and few more.

    The best of each of ``count`` groups reach the least of them, which is cheaper to find than
    the ``count``-th best of all. Neighbours, who may be one person's, are in different groups.
    """
    groups = scores.shape[1] // size
    best = scores[:, : size * groups].reshape(len(scores), size, groups).max(axis=1)
    return np.asarray(np.partition(best, groups - count, axis=1)[:, groups - count])


def _largest_of_few(scores: Array, ids: Ids, count: int) -> NDArray[np.int64]:
    first = scores.shape[1] - count
    columns = np.argpartition(scores, first, axis=1)[:, first:]
    least = np.take_along_axis(scores, columns[:, :1], 1)
    for row in np.flatnonzero(np.count_nonzero(scores >= least, axis=1) > count):
        columns[row] = np.lexsort((ids, -scores[row]))[:count]
    order = np.lexsort((ids[columns], -np.take_along_axis(scores, columns, 1)), axis=1)
    return np.take_along_axis(columns, order, 1)
