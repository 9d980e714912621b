"""Subjects of a gallery that are likely one person under two names, found before a calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


def duplicate_subjects(
    enrolled: Enrolled, max_queries: int, seed: int, tick: Callable[[int], None] = lambda _: None
) -> list[DuplicateSubjects]:
    """Finds pairs as alike as pictures of one person are, the surest first.

    Compares up to ``max_queries`` entries, spread over the subjects, with all. A pair counts from
    :data:`NEAR` on if its cosine is at least the median of what entries have with others of their
    own subject, and in any case from :data:`EXACT` on. Where that would be more than a tenth of
    the subjects, only the latter count. ``tick`` gets the entries compared since the last call.
    """
    subject = numbered(enrolled.subjects)
    names = sorted(set(enrolled.subjects))
    rows = choose(subject, max_queries, np.random.default_rng(seed))
    queries = unit_rows(np.asarray(enrolled.features[rows], np.float32))
    genuine = np.full(len(rows), -np.inf, np.float32)
    best, best_subject = genuine.copy(), np.full(len(rows), -1)
    for start in range(0, len(subject), _ROWS):
        chunk = np.arange(start, min(start + _ROWS, len(subject)))
        scores = queries @ unit_rows(np.asarray(enrolled.features[chunk], np.float32)).T
        same = subject[rows][:, None] == subject[chunk][None]
        itself = rows[:, None] == chunk[None]
        genuine = np.maximum(genuine, np.max(scores, axis=1, where=same & ~itself, initial=-np.inf))
        scores[same] = -np.inf
        top = scores.argmax(axis=1)
        value = scores[np.arange(len(rows)), top]
        best_subject = np.where(value > best, subject[chunk[top]], best_subject)
        best = np.maximum(best, value)
        tick(len(chunk))
    alike = genuine[np.isfinite(genuine)]
    bound = max(NEAR, float(np.median(alike))) if len(alike) else NEAR
    sizes = np.bincount(subject)
    near = _pairs(subject[rows], best_subject, best, bound, sizes, names)
    if len(near) > max(1, _SHARE * len(names)):
        return [pair for pair in near if pair.cosine >= EXACT]
    return near


def _pairs(
    query: NDArray[np.int64],
    other: NDArray[np.int64],
    scores: NDArray[np.float32],
    bound: float,
    sizes: NDArray[np.int64],
    names: Sequence[str],
) -> list[DuplicateSubjects]:
    pairs: list[DuplicateSubjects] = []
    gone: set[int] = set()
    for row in np.argsort(-scores, kind="stable"):
        if scores[row] < bound:
            break
        first, second = sorted((int(query[row]), int(other[row])))
        if {first, second} & gone:
            continue
        fewer = first if sizes[first] < sizes[second] else second
        gone.add(fewer)
        like = second if fewer == first else first
        pairs.append(DuplicateSubjects(names[fewer], names[like], float(scores[row])))
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
