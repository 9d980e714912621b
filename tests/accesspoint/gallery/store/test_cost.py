"""Cost of a change: that of what it touches, however many entries there are besides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.store import feature_spaces
from accesspoint.gallery.store.store import Store

_STEP = 10
"""Instructions of SQLite's machine between two calls of a progress handler."""
ENTRY = NewEntry("alice", "c", "s", np.ones(8, np.float32), key="k")


def steps(path: Path, others: int, work: Callable[[Store], object], subject: str = "p{}") -> int:
    """Returns how much SQLite does for some work in a gallery of so many entries of ``subject``."""
    store, done = Store(path), 0
    vectors = np.random.default_rng(0).standard_normal((others, 8)).astype(np.float32)
    store.add_entries(
        [
            replace(ENTRY, subject=subject.format(i), feature=vector, key=f"k{i}")
            for i, vector in enumerate(vectors)
        ]
    )
    store.add_entries([ENTRY, replace(ENTRY, subject="bob")])
    store.add_entries([replace(ENTRY, key="m"), replace(ENTRY, key="")])
    store.prepare_import()

    def count() -> int:
        nonlocal done
        done += 1
        return 0

    for db in (store.database._reader, store.database._writer):
        db.set_progress_handler(count, _STEP)
    work(store)
    store.close()
    return done


def unserved(store: Store) -> list[str]:
    return feature_spaces.unserved(store.database, "other", "", 1)


@pytest.mark.parametrize(
    "work",
    [
        lambda store: store.add_entries([ENTRY]),
        lambda store: store.has_key("alice", "k", "s"),
        lambda store: store.keyed_entry("alice", "k", "s"),
        lambda store: store.same_entry(ENTRY),
        lambda store: store.merge_subjects("bob", "alice"),
        lambda store: store.merge_subjects("alice", "bob"),
        lambda store: store.delete_subject("alice"),
        lambda store: store.delete_entries([1]),
        lambda store: store.delete_expired(0.0),
        lambda store: store.entries(0, 10, "alice"),
        lambda store: store.entries(0, 10, "alice", "c", "s"),
        lambda store: store.entries(0, 10, camera="nobody"),
        lambda store: store.entries(0, 10, "alice", "nobody"),
        lambda store: store.subjects.page("", 10, "alice"),
        lambda store: store.subjects.put("alice", "Alice"),
        lambda store: feature_spaces.awaiting(store.database, "other", "s", 0, 10),
        unserved,
    ],
)
def test_what_one_subject_costs_does_not_grow_with_the_others(
    tmp_path: Path, work: Callable[[Store], object]
) -> None:
    few, many = (steps(tmp_path / f"{n}.sqlite", n, work) for n in (200, 2000))
    assert many <= few + 100


@pytest.mark.parametrize(
    "entry",
    [
        ENTRY,
        replace(ENTRY, key=""),
        replace(ENTRY, feature=np.zeros(8, np.float32), key="new"),
        replace(ENTRY, feature=np.zeros(8, np.float32), key=""),
    ],
)
def test_what_an_imported_entry_costs_does_not_grow_with_those_of_its_subject(
    tmp_path: Path, entry: NewEntry
) -> None:
    few, many = (
        steps(tmp_path / f"{n}.sqlite", n, lambda store: store.same_entry(entry), "alice")
        for n in (200, 2000)
    )
    assert many <= few + 100
