"""Subjects of a gallery that are likely one person under two names, found before a calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accesspoint.matching.trials import Enrolled, choose, numbered
from airreid.signal import unit_rows

NEAR, EXACT = 0.9, 0.9999
"""Cosines of raw features from which on two subjects are looked at, and are one for certain."""
_SHARE = 0.1
"""Share of the subjects above which it is the network that cannot tell people apart."""
_ROWS = 2048


@dataclass(frozen=True)
class DuplicateSubjects:
    """Two subjects that look like one person."""

    left_out: str
    """Subject with fewer entries."""
    like: str
    cosine: float


def duplicate_subjects(enrolled: Enrolled, max_queries: int, seed: int) -> list[DuplicateSubjects]:
    """Finds pairs as alike as pictures of one person are, the surest first.

    Compares up to ``max_queries`` entries, spread over the subjects, with all. A pair counts from
    :data:`NEAR` on if its cosine is at least the median of what entries have with others of their
    own subject, and in any case from :data:`EXACT` on. Where that would be more than a tenth of
    the subjects, only the latter count. Of a person under many names one is left: those who are
    left are compared again until no two of them are alike.
    """
    compared = _Compared(enrolled, max_queries, seed)
    near = _rounds(compared, None)
    if len(near) > max(1, _SHARE * len(compared.names)):
        return _rounds(compared, EXACT)
    return near


class _Compared:
    """Entries that are compared with all others."""

    def __init__(self, enrolled: Enrolled, max_queries: int, seed: int) -> None:
        self._features = enrolled.features
        self.subject = numbered(enrolled.subjects)
        self.names = sorted(set(enrolled.subjects))
        self.sizes = np.bincount(self.subject)
        self.rows = choose(self.subject, max_queries, np.random.default_rng(seed))
        self._queries = unit_rows(np.asarray(enrolled.features[self.rows], np.float32))

    def nearest(self, gone: set[int]) -> _Nearest:
        """Finds for each row its best entry of its own subject, and of another that is not gone."""
        subject, rows = self.subject, self.rows
        genuine = np.full(len(rows), -np.inf, np.float32)
        best, best_subject = genuine.copy(), np.full(len(rows), -1)
        is_gone = np.isin(subject, list(gone))
        for start in range(0, len(subject), _ROWS):
            chunk = np.arange(start, min(start + _ROWS, len(subject)))
            scores = self._queries @ unit_rows(np.asarray(self._features[chunk], np.float32)).T
            same = subject[rows][:, None] == subject[chunk][None]
            itself = rows[:, None] == chunk[None]
            own_best = np.max(scores, axis=1, where=same & ~itself, initial=-np.inf)
            genuine = np.maximum(genuine, own_best)
            scores[same | is_gone[chunk][None]] = -np.inf
            top = scores.argmax(axis=1)
            value = scores[np.arange(len(rows)), top]
            best_subject = np.where(value > best, subject[chunk[top]], best_subject)
            best = np.maximum(best, value)
        best[is_gone[rows]] = -np.inf
        return _Nearest(genuine, best, best_subject)


class _Nearest(NamedTuple):
    """Best cosines of the rows that are compared, each (n,)."""

    genuine: NDArray[np.float32]
    """-inf where the subject has no other entry."""
    best: NDArray[np.float32]
    best_subject: NDArray[np.int64]


def _rounds(compared: _Compared, bound: float | None) -> list[DuplicateSubjects]:
    """Compares those who are left again and again; None makes the bound of the genuine pairs."""
    pairs: list[DuplicateSubjects] = []
    gone: set[int] = set()
    while True:
        nearest = compared.nearest(gone)
        if bound is None:
            alike = nearest.genuine[np.isfinite(nearest.genuine)]
            bound = max(NEAR, float(np.median(alike))) if len(alike) else NEAR
        before = len(pairs)
        pairs += _pairs(compared, nearest, min(bound, EXACT), gone)
        if len(pairs) == before:
            return pairs


def _pairs(
    compared: _Compared, nearest: _Nearest, bound: float, gone: set[int]
) -> list[DuplicateSubjects]:
    """Pairs of one round; the subjects that are left out join ``gone``."""
    pairs: list[DuplicateSubjects] = []
    sizes, names = compared.sizes, compared.names
    for row in np.argsort(-nearest.best, kind="stable"):
        score = float(nearest.best[row])
        if score < bound:
            break
        query, other = int(compared.subject[compared.rows[row]]), int(nearest.best_subject[row])
        first, second = sorted((query, other))
        if {first, second} & gone:
            continue
        fewer = first if sizes[first] < sizes[second] else second
        gone.add(fewer)
        like = second if fewer == first else first
        pairs.append(DuplicateSubjects(names[fewer], names[like], score))
    return pairs


def without(enrolled: Enrolled, subjects: Sequence[str]) -> Enrolled:
    """Returns the entries of all other subjects; the same ones where there is nothing to do."""
    if not subjects:
        return enrolled
    gone = set(subjects)
    rows = np.array([row for row, name in enumerate(enrolled.subjects) if name not in gone])
    return Enrolled(
        enrolled.features[rows],
        [enrolled.subjects[row] for row in rows],
        [enrolled.cameras[row] for row in rows],
    )
