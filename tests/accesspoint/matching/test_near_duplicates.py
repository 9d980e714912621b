from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accesspoint.matching.near_duplicates import duplicate_warnings
from accesspoint.matching.policy import MatchPolicy
from accesspoint.matching.quality import QualityGate
from airreid.retrieval import cosine


@dataclass
class _Match:
    subject: str
    score: float


@dataclass
class _Found:
    matches: list[_Match]


class _Exact:
    """The gallery's search, by brute force."""

    def __init__(self, features: np.ndarray, subjects: list[str]) -> None:
        self._features, self._subjects = features, subjects

    def search(
        self, scheme_id: str, embeddings: np.ndarray, top_k: int, top_entries: int
    ) -> list[_Found]:
        assert scheme_id == "features"
        best: list[dict[str, float]] = [{} for _ in embeddings]
        for row, scores in zip(best, cosine(embeddings, self._features), strict=True):
            for subject, score in zip(self._subjects, scores, strict=True):
                row[subject] = max(score, row.get(subject, -1.0))
        return [
            _Found([_Match(s, v) for s, v in sorted(r.items(), key=lambda i: -i[1])[:top_k]])
            for r in best
        ]


RNG = np.random.default_rng(0)
ALICE, BOB, CAROL = RNG.standard_normal((3, 64)).astype(np.float32)
GALLERY = _Exact(np.stack([ALICE, BOB]), ["alice", "bob"])


def _ask(
    features: list[np.ndarray], subjects: list[str], policy: MatchPolicy | None = None
) -> list[tuple[str, ...]]:
    stacked = np.stack(features).astype(np.float32)
    return duplicate_warnings(stacked, subjects, GALLERY, QualityGate(), policy or MatchPolicy())


def _near(feature: np.ndarray, cosine_: float) -> np.ndarray:
    """A feature at exactly this cosine."""
    unit = feature / np.linalg.norm(feature)
    aside = CAROL - (CAROL @ unit) * unit
    return cosine_ * unit + np.sqrt(1 - cosine_**2) * aside / np.linalg.norm(aside)


def test_nobody_similar() -> None:
    assert _ask([CAROL], ["carol"]) == [()]
    assert (
        duplicate_warnings(np.empty((0, 64), np.float32), [], GALLERY, QualityGate(), MatchPolicy())
        == []
    )


def test_another_subject_and_an_own_entry() -> None:
    assert _ask([_near(ALICE, 0.91)], ["mallory"]) == [
        ("looks like subject alice: cosine 0.910 (from 0.900 on)",)
    ]
    assert _ask([_near(ALICE, 0.89)], ["mallory"]) == [()]
    assert _ask([_near(ALICE, 0.99)], ["alice"]) == [()]
    assert _ask([3 * ALICE], ["alice"]) == [("the same as an entry of this subject",)]


def test_the_calibrated_threshold_goes_first() -> None:
    probe = [_near(BOB, 0.8)]
    assert _ask(probe, ["mallory"]) == [()]
    strict = _ask(probe, ["mallory"], MatchPolicy(near_duplicate=0.75))
    assert strict[0][0].startswith("looks like subject bob: cosine 0.800 (from 0.750")


def test_the_same_picture_for_two_people_in_one_request() -> None:
    first, second = _ask([CAROL, CAROL], ["carol", "dave"])
    assert first == ()
    assert second[0].startswith("looks like subject carol: cosine 1.000")
