"""Near duplicates: new entries that look like somebody else, or like an entry they repeat."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from accesspoint.matching.policy import FEATURES, MatchPolicy
from accesspoint.matching.quality import QualityGate
from airreid.signal import unit_rows

_SUBJECTS = 3
"""Subjects of the gallery that a new entry is compared with, the best ones."""


class _Match(Protocol):
    @property
    def subject(self) -> str: ...
    @property
    def score(self) -> float: ...


class _Found(Protocol):
    @property
    def matches(self) -> Sequence[_Match]: ...


class Searchable(Protocol):
    """Gallery, as far as it is needed here."""

    def search(
        self, scheme_id: str, embeddings: NDArray[np.float32], top_k: int, top_entries: int
    ) -> Sequence[_Found]:
        """Searches for embeddings (n, dim) of a scheme; one result for each."""


def duplicate_warnings(
    features: NDArray[np.float32],
    subjects: Sequence[str],
    gallery: Searchable,
    gate: QualityGate,
    policy: MatchPolicy,
    again: Collection[int] = (),
) -> list[tuple[str, ...]]:
    """Returns for each new entry what is suspicious about it; empty where nothing is.

    features: float32 (n, D) raw, to be enrolled for ``subjects`` (n,) together. Each is
    compared with the gallery and with the entries before it. Suspicious are another subject
    at or above the near-duplicate score, and an entry of its own subject that is all but the
    same; the latter is expected of the rows ``again``, entries that are sent a second time.
    """
    if not len(features):
        return []
    near = policy.near_duplicate if policy.near_duplicate is not None else gate.near_duplicate
    units = unit_rows(features)
    among = units @ units.T
    warnings = []
    for i, result in enumerate(gallery.search(FEATURES, features, _SUBJECTS, 0)):
        scores = [(match.subject, float(match.score)) for match in result.matches]
        scores += [(subjects[j], float(among[i, j])) for j in range(i)]
        others = [(score, name) for name, score in scores if name != subjects[i]]
        same = max((score for name, score in scores if name == subjects[i]), default=-1.0)
        reasons = []
        if others and max(others)[0] >= near:
            score, name = max(others)
            reasons.append(f"looks like subject {name}: cosine {score:.3f} (from {near:.3f} on)")
        if same >= gate.exact_duplicate and i not in again:
            reasons.append("the same as an entry of this subject")
        warnings.append(tuple(reasons))
    return warnings
