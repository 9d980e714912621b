"""Subjects, keys, expiry, merging, and a change of model, on a gallery of short features."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from accesspoint.errors import ConflictError, NotFoundError, NotReadyError, WrongSpaceError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.search.segmented_index import SegmentedIndex
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store.database import Database
from accesspoint.gallery.store.store import Store
from accesspoint.gallery.store.stored_settings import StoredSettings
from airreid.bundle import Bundle
from airreid.errors import InputError

DIM = 16
Opener = Callable[[str], Gallery]


@pytest.fixture
def opened(store: Store, bundle: Bundle) -> Iterator[Opener]:
    """Opens the store with a bundle of a feature space and 16 values a feature."""
    galleries: list[Gallery] = []

    def opened(space_id: str) -> Gallery:
        if galleries:
            galleries.pop().close()
        backbone = bundle.backbone.model_copy(update={"space_id": space_id, "feature_dim": DIM})
        manifest = bundle.manifest.model_copy(update={"backbones": (backbone,)})
        galleries.append(Gallery(store, Bundle(bundle.path, manifest, "tiny"), threads=1))
        galleries[-1].wait_ready()
        return galleries[-1]

    yield opened
    galleries.pop().close()


def vector(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)


def new(subject: str, seed: int, space: str = "one", **more: object) -> NewEntry:
    return NewEntry(subject, "c1", space, vector(seed), **more)  # type: ignore[arg-type]


def nearest(gallery: Gallery, seed: int) -> tuple[str, int]:
    [found] = gallery.search("features", vector(seed)[None], 1, 1)
    assert found.matches[0].score == pytest.approx(1, abs=1e-5)
    return found.matches[0].subject, found.matches[0].entry_id


def test_subjects_are_made_changed_and_listed(opened: Opener) -> None:
    gallery = opened("one")
    subject, created = gallery.subjects.put("alice", "Alice A.", "north gate", 2e9)
    assert created
    assert (subject.display_name, subject.note, subject.expires_at) == (
        "Alice A.",
        "north gate",
        2e9,
    )
    again, created = gallery.subjects.put("alice")
    assert not created
    assert again.note == "north gate"
    changed = gallery.subjects.patch("alice", note="", expires_at=None)
    assert (changed.display_name, changed.note, changed.expires_at) == ("Alice A.", "", None)
    assert changed.updated_at >= changed.created_at
    for name in ("albert", "bob"):
        gallery.subjects.put(name)
    assert [s.id for s in gallery.subjects.page("", 9, "al")] == ["albert", "alice"]
    assert [s.id for s in gallery.subjects.page("albert", 1)] == ["alice"]
    with pytest.raises(NotFoundError, match="no subject 'zoe'"):
        gallery.subjects.patch("zoe", note="x")
    with pytest.raises(InputError, match="display_name"):
        gallery.subjects.put("zoe", "a\x00b")
    with pytest.raises(InputError, match="expires_at"):
        gallery.subjects.put("zoe", expires_at=float("nan"))
    assert gallery.subjects.get("zoe") is None


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
    [found] = gallery.search("features", vector(4)[None], 9, 9)
    assert sorted(found.entry_ids.tolist()) == [other, numbers[1]]


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


def test_what_expires_is_deleted_when_due(opened: Opener) -> None:
    gallery = opened("one")
    [soon, late, kept] = gallery.enrol(
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
    [found] = gallery.search("features", vector(4)[None], 9, 9)
    assert sorted(found.entry_ids.tolist()) == [late, kept]
    assert of_c not in found.entry_ids


def test_the_log_is_cut_behind_its_readers(store: Store) -> None:
    for seed in range(6):
        store.add_entries([new("a", seed)])
    store.delete_entries([2])
    assert [(c.seq, c.kind, c.entry) for c in store.log.changes(4, 9)] == [
        (5, "add", 5),
        (6, "add", 6),
        (7, "delete", 2),
    ]
    store.log.set_consumed("one", 3)
    store.log.set_consumed("two", 5)
    assert store.log.changes(3, 1)[0].seq == 4
    with pytest.raises(InputError, match="no longer reaches back to 2"):
        store.log.changes(2, 9)
    store.log.set_consumed("one", 7)
    assert [c.seq for c in store.log.changes(5, 9)] == [6, 7]
    store.log.drop_consumer("two")
    store.log.set_consumed("one", 7)
    assert store.log.changes(7, 9) == []
    assert store.log.position == 7
    with pytest.raises(InputError, match="no longer reaches back"):
        store.log.changes(5, 9)  # cut off whole, and still known to have been longer
    store.add_entries([new("a", 9)])
    assert [c.seq for c in store.log.changes(7, 9)] == [8]


def encode(images: Sequence[bytes]) -> np.ndarray:
    """The 'model' of space two: a feature from the number that an image's bytes are."""
    if b"broken" in images:
        raise InputError("no image")
    return np.stack([vector(1000 + int(image)) for image in images])


def two_spaces(opened: Opener) -> Gallery:
    """40 entries of 10 people with thumbnails, opened with the bundle of another space."""
    gallery = opened("one")
    gallery.enrol(
        [new(f"p{i % 10}", i, thumbnail=str(i).encode(), quality=i / 40) for i in range(40)]
    )
    nearest(gallery, 3)
    return opened("two")


def test_a_change_of_model_from_thumbnails(opened: Opener) -> None:
    gallery = two_spaces(opened)
    assert gallery.needs_reindex
    assert not gallery.ready
    with pytest.raises(NotReadyError, match="of the feature space one, the bundle is of two"):
        gallery.search("features", vector(3)[None], 1, 1)
    with pytest.raises(WrongSpaceError, match="feature of space 'one'"):
        gallery.enrol([new("x", 1)])
    ticks: list[tuple[int, int]] = []
    report = gallery.maintenance.reindex(
        encode, lambda done, total: ticks.append((done, total)), "ab"
    )
    assert (report.encoded, report.failed, report.switched) == (40, (), True)
    assert ticks[0] == (0, 40)
    assert ticks[-1] == (40, 40)
    assert gallery.ready
    assert gallery.counts() == (10, 40)
    subject, number = nearest(gallery, 1003)
    assert subject == "p3"
    entry = gallery.entry(number)
    assert entry is not None
    assert (entry.space_id, entry.quality, entry.model_digest) == ("two", 3 / 40, "ab")
    assert gallery.thumbnail(number) == b"3"  # for the next change
    with pytest.raises(ConflictError, match="nothing to reindex"):
        gallery.maintenance.reindex(encode)
    again = opened("two")
    assert again.ready
    assert nearest(again, 1003) == (subject, number)


def test_a_reindex_that_was_killed_goes_on_where_it_was(opened: Opener) -> None:
    gallery = two_spaces(opened)
    seen: list[bytes] = []

    def dies(images: Sequence[bytes]) -> np.ndarray:
        if len(seen) >= 16:
            raise KeyboardInterrupt
        seen.extend(images)
        return encode(images)

    with pytest.raises(KeyboardInterrupt):
        gallery.maintenance.reindex(dies)
    gallery.delete_entries([1])  # encoded already: what was made of it goes as well
    gallery.delete_subject("p1")
    gallery = opened("two")
    assert gallery.needs_reindex
    assert gallery.counts() == (9, 35 + 13)  # of 16 encoded: not entry 1, not two of p1

    def counting(images: Sequence[bytes]) -> np.ndarray:
        seen.extend(images)
        return encode(images)

    assert gallery.maintenance.reindex(counting).switched
    assert len(set(seen)) == len(seen)
    assert gallery.counts() == (9, 35)
    [found] = gallery.search("features", vector(1000)[None], 99, 99)
    assert len(found.entry_ids) == 35
    assert found.matches[0].score < 0.99


def test_who_has_no_thumbnail_must_be_enrolled_anew(opened: Opener) -> None:
    gallery = opened("one")
    gallery.enrol(
        [
            new("with", 1, thumbnail=b"1"),
            new("with", 2),
            new("without", 3),
            new("bad", 4, thumbnail=b"broken"),
        ]
    )
    gallery = opened("two")
    report = gallery.maintenance.reindex(encode)
    assert not report.switched
    assert report.unserved == ("bad", "without")
    assert report.unserved_count == 2
    assert [(number, message) for number, message in report.failed] == [(4, "no image")]
    assert gallery.needs_reindex
    gallery.enrol([new("without", 5, "two")])
    assert gallery.maintenance.unserved("", 9) == ["bad"]
    report = gallery.maintenance.reindex(encode, allow_unserved=True)
    assert report.switched
    assert report.encoded == 0
    assert gallery.ready
    assert gallery.maintenance.unserved("", 9) == ["bad"]
    assert {entry.space_id for entry in gallery.entries(0, 9, "bad")} == {"one"}
    assert {entry.space_id for entry in gallery.entries(0, 9, "with")} == {"two"}


def test_an_empty_gallery_takes_any_space(opened: Opener) -> None:
    opened("one").enrol([new("a", 1)])
    opened("one").delete_subject("a")
    gallery = opened("two")
    assert gallery.ready
    gallery.enrol([new("a", 1, "two")])
    assert nearest(gallery, 1)[0] == "a"


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
    found = gallery.search("features", vectors, 1, 1)
    assert [one.matches[0].subject for one in found] == ["p0", "p1", "p2"]
    assert found[2].entry_ids.tolist() == [number]
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


def test_settings_are_read_from_the_file_once(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = opened("one")
    gallery.set_setting("match_policy", "{}")
    assert gallery.setting("quality_gate") is None
    with monkeypatch.context() as patch:
        patch.delattr(Database, "rows")  # the file is busy: nobody may ask it
        assert gallery.setting("match_policy") == "{}"
        assert gallery.setting("quality_gate") is None
    gallery.set_setting("quality_gate", '{"mode": "off"}')
    assert gallery.setting("quality_gate") == '{"mode": "off"}'
    assert StoredSettings(gallery.store.database).get("match_policy") == "{}"


def test_a_large_file_is_checked_while_loading(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("accesspoint.gallery.store.database._CHECKED_AT_ONCE", 1)
    path = tmp_path / "gallery.sqlite"
    store = Store(path)
    store.add_entries([NewEntry("a", "c", "s", np.ones(2048, np.float32))] * 50)
    store.close()
    data = bytearray(path.read_bytes())
    data[-65536:-8192] = bytes(65536 - 8192)
    path.write_bytes(data)
    store = Store(path)
    gallery = Gallery(store, bundle, threads=1)
    assert not gallery.wait_ready()
    with pytest.raises(NotReadyError, match="damaged"):
        gallery.search("features", np.ones((1, 2048), np.float32), 1, 1)
    with pytest.raises(NotReadyError, match="damaged"):
        gallery.delete_entries([1])
    gallery.close()
    store.close()


def test_loading_does_not_hold_up_the_process(
    store: Store, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    go_on = threading.Event()
    original = Store.owners

    def slow(self: Store, space_id: str, after: int, limit: int) -> list[tuple[int, str, str, int]]:
        go_on.wait(30)
        return original(self, space_id, after, limit)

    monkeypatch.setattr(Store, "owners", slow)
    gallery = Gallery(store, bundle, threads=1)
    assert not gallery.ready
    assert gallery.counts() == (0, 0)
    go_on.set()
    assert gallery.wait_ready()
    gallery.close()
