"""The expired are in no answer, whoever asks and whether they are deleted yet or not."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import numpy as np
import pytest

from accesspoint.errors import NotFoundError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.search.running_scores import OpenBlockMemory, RunningScores

from .short_features import DIM, Opener, new, vector


class Clock:
    """The wall clock, as the test has it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    hands = Clock()
    monkeypatch.setattr(time, "time", hands)
    return hands


def visible(gallery: Gallery) -> set[int]:
    """Asks for entries in every way there is; all must say the same."""
    rng = np.random.default_rng(1)
    queries = rng.standard_normal((4, DIM)).astype(np.float32)
    results = gallery.search("features", queries, 50, 50)
    running = [RunningScores(OpenBlockMemory()) for _ in queries]
    continued = gallery.continue_search(
        "features", queries, running, 50, 50, lambda row, scores: len(scores) <= 10
    )
    results += [result for result in continued if result is not None]
    assert len(results) == 2 * len(queries)
    ranked = [set(result.entry_ids.tolist()) for result in results]
    listed = {entry.id for entry in gallery.entries(0, 100)}
    single = {number for number in range(1, 60) if gallery.entry(number) is not None}
    pictured = {number for number in range(1, 60) if gallery.thumbnail(number) is not None}
    assert all(ids == listed for ids in (*ranked, single, pictured))
    owners = {entry.subject for entry in gallery.entries(0, 100)}
    for result in results:
        assert {match.subject for match in result.matches} == owners
        assert {match.entry_id for match in result.matches} <= listed
    subjects = {subject.id for subject in gallery.subjects.page("", 100)}
    assert owners <= subjects
    assert {name for name in subjects if gallery.subjects.get(name) is None} == set()
    return listed


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_answered_past_its_time(opened: Opener, clock: Clock, seed: int) -> None:
    """Entries and subjects that expire at random moments; restarts in between."""
    rng = random.Random(seed)
    gallery = opened("one")
    entry_end: dict[int, float] = {}
    owner: dict[int, str] = {}
    subject_end: dict[str, float] = {}
    for i in range(40):
        subject = f"p{rng.randrange(12)}"
        end = rng.choice([None, rng.uniform(1001, 1100)])
        fields = {"expires_at": end, "thumbnail": b"x"}
        [number] = gallery.enrol([new(subject, i, **fields)])
        entry_end[number], owner[number] = end or np.inf, subject
    for subject in rng.sample(sorted(set(owner.values())), 5):
        subject_end[subject] = rng.uniform(1001, 1100)
        gallery.subjects.put(subject, expires_at=subject_end[subject])
    for moment in sorted({*(e for e in entry_end.values() if e < 2000), *subject_end.values()}):
        for now in (np.nextafter(moment, 0), moment):
            clock.now = float(now)
            if rng.random() < 0.1:
                gallery = opened("one")
            if rng.random() < 0.1:
                gallery.maintenance.expire_due(clock.now)
            expected = {
                number
                for number, end in entry_end.items()
                if clock.now < min(end, subject_end.get(owner[number], np.inf))
            }
            assert visible(gallery) == expected


def test_kept_answers_are_of_before(opened: Opener, clock: Clock) -> None:
    gallery = opened("one")
    gallery.enrol([new("ada", 1, expires_at=1010.0), new("ben", 2, expires_at=1020.0)])
    gallery.subjects.put("ben", expires_at=1015.0)
    before = gallery.deletions
    changes = []
    for clock.now in (1009.0, 1010.0, 1014.0, 1015.0, 1016.0):
        changes.append(gallery.deletions - before)
    assert changes == [0, 1, 1, 2, 2]


def test_who_takes_the_name_of_somebody_expired_is_somebody_new(
    opened: Opener, clock: Clock
) -> None:
    deleted: list[tuple[list[int], list[str]]] = []
    enrols: list[Callable[[Gallery], object]] = [
        lambda gallery: gallery.enrol([new("ada", 7)]),
        lambda gallery: gallery.subjects.put("ada", "Another Ada"),
    ]
    for number, enrol in enumerate(enrols):
        gallery = opened("one")
        gallery.maintenance.on_expired(lambda entries, names: deleted.append((entries, names)))
        [old] = gallery.enrol([new("ada", 1)])
        gallery.subjects.put("ada", "Ada", expires_at=clock.now + 5)
        clock.now += 5
        with pytest.raises(NotFoundError):
            gallery.subjects.patch("ada", note="still here?")
        enrol(gallery)
        assert gallery.entry(old) is None
        assert gallery.subjects.existing("ada").expires_at is None
        assert gallery.subjects.existing("ada").display_name == ("", "Another Ada")[number]
        assert old not in {entry.id for entry in gallery.entries(0, 9)}
        [result] = gallery.search("features", vector(1)[None], 5, 5)
        assert old not in result.entry_ids
        assert deleted[number] == ([old], ["ada"])
        gallery.delete_subject("ada")


def test_an_expiry_that_is_taken_back_or_moved_counts(opened: Opener, clock: Clock) -> None:
    gallery = opened("one")
    [number] = gallery.enrol([new("ada", 1, thumbnail=b"x")])
    gallery.subjects.put("ada", expires_at=1010.0)
    gallery.subjects.patch("ada", expires_at=None)
    clock.now = 1020.0
    assert visible(gallery) == {number}
    gallery.subjects.put("ada", expires_at=1030.0)
    gallery.subjects.put("ada-2")
    gallery.merge_subjects("ada", "ada-2")
    clock.now = 1040.0
    assert visible(gallery) == {number}  # it belongs to somebody who does not expire
    gallery.subjects.put("ada")
    [again] = gallery.enrol([new("ada", 2, thumbnail=b"x")])
    assert visible(gallery) == {number, again}
