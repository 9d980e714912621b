"""Entries: keys, expiry, merging, and the indexes that follow them."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from accesspoint.errors import NotFoundError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.search.segmented_index import SegmentedIndex
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle
from airreid.errors import InputError

from .short_features import Opener, nearest, new, vector


def test_what_is_stored_of_an_entry(opened: Opener) -> None:
    gallery = opened("one")
    about = {"captured_at": 12.5, "quality": 0.75, "expires_at": 2e9, "model_digest": "ab"}
    [number] = gallery.enrol([new("a", 1, thumbnail=b"image", key="k", **about)])
    entry = gallery.entry(number)
    assert entry is not None
    assert {name: getattr(entry, name) for name in about} == about
    assert (entry.space_id, entry.key, entry.has_thumbnail) == ("one", "k", True)
    assert gallery.thumbnail(number) == b"image"
    assert gallery.entries(0, 9, camera="c1") == [entry]
    assert gallery.entries(0, 9, camera="c2") == []
    assert gallery.entry(number + 1) is None
    assert gallery.entry(2**63) is None
    for bad in ({"quality": 2.0}, {"key": "a b"}, {"thumbnail": b""}, {"model_digest": "xyz"}):
        with pytest.raises(InputError):
            gallery.enrol([new("a", 1, **bad)])


def test_a_key_replaces_in_one_step(opened: Opener) -> None:
    gallery = opened("one")
    [first, other] = gallery.enrol([new("a", 1, key="k"), new("b", 2, key="k")])
    assert nearest(gallery, 1) == ("a", first)
    [second] = gallery.enrol([new("a", 3, key="k")])
    assert second > other > first
    assert gallery.entry(first) is None
    assert nearest(gallery, 3) == ("a", second)
    assert nearest(gallery, 2) == ("b", other)
    # twice in one batch: the later stays, in the store and in the index
    numbers = gallery.enrol([new("a", 4, key="k"), new("a", 5, key="k")])
    assert [gallery.entry(n) is None for n in [second, *numbers]] == [True, True, False]
    [result] = gallery.search("features", vector(4)[None], 9, 9)
    assert sorted(result.entry_ids.tolist()) == [other, numbers[1]]


def test_merging_moves_entries_and_deletes_the_source(opened: Opener) -> None:
    gallery = opened("one")
    first, second, third = gallery.enrol(
        [new("a", 1, key="k"), new("a", 2, key="m"), new("b", 3, key="k")]
    )
    nearest(gallery, 1)
    merged = gallery.merge_subjects("a", "b")
    assert (merged.id, merged.entries) == ("b", 3)
    assert gallery.subjects.get("a") is None
    assert [nearest(gallery, seed) for seed in (1, 2, 3)] == [
        ("b", first),
        ("b", second),
        ("b", third),
    ]
    keys = {entry.id: entry.key for entry in gallery.entries(0, 9)}
    assert keys == {first: "", second: "m", third: "k"}
    with pytest.raises(NotFoundError, match="no subject 'a'"):
        gallery.merge_subjects("a", "b")
    with pytest.raises(InputError, match="into itself"):
        gallery.merge_subjects("b", "b")
    kinds = [(c.kind, c.entry) for c in gallery.store.log.changes(3, 99)]
    assert kinds == [("move", first), ("move", second)]


def test_what_expires_is_deleted_when_due(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 50.0)
    gallery = opened("one")
    [soon, late, without_expiry] = gallery.enrol(
        [new("a", 1, expires_at=100), new("a", 2, expires_at=200), new("b", 3)]
    )
    gallery.subjects.put("c", expires_at=150)
    [of_c] = gallery.enrol([new("c", 4)])
    nearest(gallery, 1)
    assert gallery.maintenance.expire_due(99) == ([], [])
    assert gallery.maintenance.expire_due(100) == ([soon], [])
    assert gallery.entry(soon) is None
    assert gallery.maintenance.expire_due(150) == ([of_c], ["c"])
    assert gallery.subjects.get("c") is None
    [result] = gallery.search("features", vector(4)[None], 9, 9)
    assert sorted(result.entry_ids.tolist()) == [late, without_expiry]
    assert of_c not in result.entry_ids


def test_an_index_that_fails_is_made_anew(
    store: Store, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fragile(SegmentedIndex):
        broken = False

        def add(self, ids: np.ndarray, digests: np.ndarray, embeddings: np.ndarray) -> None:
            if Fragile.broken:
                Fragile.broken = False
                raise MemoryError
            super().add(ids, digests, embeddings)

    monkeypatch.setattr("accesspoint.gallery.gallery.SegmentedIndex", Fragile)
    gallery = Gallery(store, bundle, 1, GallerySettings(snapshots=False))
    vectors = np.random.default_rng(0).standard_normal((3, 2048)).astype(np.float32)
    entries = [NewEntry(f"p{i}", "c", gallery.space_id, row) for i, row in enumerate(vectors)]
    gallery.enrol(entries[:2])
    assert gallery.search("features", vectors[:1], 1, 1)[0].matches[0].subject == "p0"
    Fragile.broken = True
    [number] = gallery.enrol(entries[2:])  # stored, and so acknowledged
    assert not Fragile.broken
    results = gallery.search("features", vectors, 1, 1)
    assert [result.matches[0].subject for result in results] == ["p0", "p1", "p2"]
    assert results[2].entry_ids.tolist() == [number]
    gallery.close()


def test_searches_do_not_wait_for_a_writer(opened: Opener) -> None:
    gallery = opened("one")
    gallery.enrol([new("a", 1)])
    nearest(gallery, 1)
    with gallery.store.database.writing():  # as for as long as a commit takes
        answers: list[str] = []
        thread = threading.Thread(target=lambda: answers.append(nearest(gallery, 1)[0]))
        thread.start()
        thread.join(30)
        assert answers == ["a"]
        assert gallery.counts() == (1, 1)
