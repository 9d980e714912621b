"""Search for subjects, some of whom have far more entries than others."""

from __future__ import annotations

import numpy as np
import pytest

from accesspoint.gallery.records import Match
from accesspoint.gallery.search import entry_search
from accesspoint.gallery.search.entry_owners import EntryOwners
from accesspoint.gallery.search.running_scores import OpenBlockMemory, RunningScores
from accesspoint.gallery.search.segmented_index import SegmentedIndex

from ..short_features import Opener, new, vector


def test_a_person_of_many_entries_makes_no_other_search_dear(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = opened("one")
    gallery.enrol([new("many", 0)] * 400 + [new(f"p{i}", i) for i in range(1, 40)])
    queries = np.stack([vector(seed) for seed in (1, 0, 2, 3)])
    gallery.search("features", queries, 5, 0)
    searched, search = [], SegmentedIndex.search

    def count(self: SegmentedIndex, embeddings: np.ndarray, depth: int) -> object:
        searched.append((len(embeddings), depth))
        return search(self, embeddings, depth)

    monkeypatch.setattr(SegmentedIndex, "search", count)
    results = gallery.search("features", queries, 5, 0)
    assert [result.matches[0].subject for result in results] == ["p1", "many", "p2", "p3"]
    assert [len(result.matches) for result in results] == [5] * 4
    whole = gallery.search("features", queries, 5, 439)
    for result, deep in zip(results, whole, strict=True):
        assert [match.entry_id for match in result.matches] == [
            match.entry_id for match in deep.matches
        ]
    assert [n for n, _ in searched] == [4, 1, 4]


def test_a_search_says_when_it_took_many_thousands_of_entries(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_search, "_DEEP", 300)
    gallery = opened("one")
    gallery.enrol([new("many", 0)] * 400 + [new(f"p{i}", i) for i in range(1, 40)])
    queries = np.stack([vector(seed) for seed in (1, 0, 2)])
    for top_entries, went_deep in ((0, [False, True, False]), (500, [False] * 3)):
        results = gallery.search("features", queries, 5, top_entries)
        assert [result.went_deep for result in results] == went_deep
        running = [RunningScores(OpenBlockMemory()) for _ in queries]
        continued = gallery.continue_search(
            "features", queries, running, 5, top_entries, lambda row, scores: True
        )
        assert [result is not None and result.went_deep for result in continued] == went_deep
    monkeypatch.setattr(entry_search, "_DEEP", 1000)  # more than there are
    assert not any(result.went_deep for result in gallery.search("features", queries, 5, 0))


@pytest.mark.parametrize("top_entries", [0, 3, 2000])
@pytest.mark.parametrize("expires", [False, True])
def test_ranks_are_those_of_entries_one_by_one(top_entries: int, expires: bool) -> None:
    rng, owners = np.random.default_rng(top_entries), EntryOwners()
    subject_of = {number: f"p{min(9, int(rng.exponential(0.7)))}" for number in range(2000)}
    for number, subject in subject_of.items():
        if number % 7:
            owners.put(number, subject, "c", 1.0 if expires and number % 3 == 0 else None)
    ids = np.sort(rng.permutation(2000)[:1500]).astype(np.int64)
    scores = -np.arange(1500, dtype=np.float32)
    living = [
        place
        for place, number in enumerate(ids.tolist())
        if number % 7 and not (expires and number % 3 == 0)
    ]
    best: dict[str, Match] = {}
    for place in living:
        number = int(ids[place])
        best.setdefault(
            subject_of[number], Match(subject_of[number], float(scores[place]), number, "c")
        )
    result = owners.ranked(scores, ids, 10, top_entries)
    assert result.matches == list(best.values())
    assert result.entry_ids.tolist() == ids[living][:top_entries].tolist()
    assert owners.best_scores(scores, ids, 3) == [match.score for match in best.values()][:3]


def test_entries_of_one_subject_are_passed_over_together() -> None:
    owners, number = EntryOwners(), 10_000
    for entry in range(number):
        owners.put(entry, "many" if entry < number - 1 else "other", "c")
    ids = np.arange(number)
    met = list(owners._met(-ids.astype(np.float32), ids, lambda subjects: subjects <= {"many"}))
    assert len(met) <= 256
    assert met[-1][3] == ("other", "c")
