"""A snapshot that is torn, altered, foreign or old is noticed, and the index made anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.search.index import IndexSpec
from accesspoint.gallery.search.reconcile import reconcile
from accesspoint.gallery.search.segmented_index import SegmentedIndex
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle

DIM = 32


def embed(features: np.ndarray) -> np.ndarray:
    return features


def small(kind: str) -> GallerySettings:
    return GallerySettings.model_validate({"index": kind, "segment_rows": 64})


def spec(store: Store, **changes: object) -> IndexSpec:
    fields = {
        "scheme_id": "features",
        "space_id": "s",
        "scheme_digest": "",
        "dim": DIM,
        "store_id": store.store_id,
        "folder": store.path.parent / "index",
    }
    return IndexSpec(**(fields | changes))  # type: ignore[arg-type]


def fill(store: Store, count: int, seed: int = 0) -> list[int]:
    vectors = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    stored, *_ = store.add_entries([NewEntry(f"p{i}", "c", "s", v) for i, v in enumerate(vectors)])
    return [entry.id for entry in stored]


@pytest.fixture(params=["flat", "sq8"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def saved(store: Store, kind: str) -> Store:
    """A store of 200 entries, and a snapshot of its index."""
    fill(store, 200)
    index = SegmentedIndex(spec(store), small(kind))
    reconcile(index, store, "s", embed)
    index.maintain(store.log.position)
    index.close()
    return store


def assert_equal_to_store(index: SegmentedIndex, store: Store) -> None:
    """Same entries, and each found by its own feature with score 1."""
    everything = list(store.all_features("s"))
    ids = np.concatenate([part.ids for part in everything])
    features = np.concatenate([part.features for part in everything])
    held, _ = index.held()
    assert sorted(held.tolist()) == ids.tolist()
    scores, nearest = index.search(features, 1)
    assert nearest[:, 0].tolist() == ids.tolist()
    np.testing.assert_allclose(scores[:, 0], 1, atol=1e-3)


def flip(path: Path, where: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(where * (len(data) - 1))] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-700])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(4096))


@pytest.mark.parametrize("name", ["*.segment", "manifest.json"])
@pytest.mark.parametrize(
    "harm",
    [
        lambda path: flip(path, 0.0),
        lambda path: flip(path, 0.37),
        lambda path: flip(path, 1.0),
        cut,
        lengthen,
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
    ],
)
def test_harm_is_noticed_and_mended(
    saved: Store, kind: str, name: str, harm: Callable[[Path], None]
) -> None:
    folder = saved.path.parent / "index" / "features"
    harm(max(folder.glob(name), key=lambda path: path.stat().st_size))
    index = SegmentedIndex(spec(saved), small(kind))
    assert len(index) < 200
    reconcile(index, saved, "s", embed)
    assert_equal_to_store(index, saved)
    index.close()
    again = SegmentedIndex(spec(saved), small(kind))
    assert len(again) == 200
    assert_equal_to_store(again, saved)


def test_a_whole_snapshot_is_used_as_it_is(saved: Store, kind: str) -> None:
    index = SegmentedIndex(spec(saved), small(kind))
    assert len(index) == 200
    assert_equal_to_store(index, saved)


@pytest.mark.parametrize(
    "change",
    [{"store_id": "other"}, {"space_id": "t"}, {"scheme_digest": "ab"}, {"dim": 16}],
)
def test_a_snapshot_of_something_else_is_not_used(
    saved: Store, kind: str, change: dict[str, object]
) -> None:
    assert len(SegmentedIndex(spec(saved, **change), small(kind))) == 0
    assert not list((saved.path.parent / "index").rglob("*.segment"))


def test_an_old_snapshot_is_brought_up_to_date(saved: Store, kind: str) -> None:
    added = fill(saved, 30, seed=1)
    saved.delete_entries([1, 7, 150, added[2]])
    index = SegmentedIndex(spec(saved), small(kind))
    reconcile(index, saved, "s", embed)
    assert len(index) == 226
    assert_equal_to_store(index, saved)


def test_a_snapshot_newer_than_a_restored_store_is_not_believed(
    saved: Store, kind: str, tmp_path: Path
) -> None:
    """The same entry numbers, given a second time by a file that was put back."""
    saved.database.empty_log()
    copy = tmp_path / "copy"
    shutil.copy(saved.path, copy)
    fill(saved, 20, seed=1)
    index = SegmentedIndex(spec(saved), small(kind))
    reconcile(index, saved, "s", embed)
    index.close()
    saved.close()
    shutil.copy(copy, saved.path)
    store = Store(saved.path)
    fill(store, 20, seed=2)
    index = SegmentedIndex(spec(store), small(kind))
    assert len(index) == 220
    reconcile(index, store, "s", embed)
    assert_equal_to_store(index, store)
    store.close()


def test_the_operator_may_change_the_kind_of_index(saved: Store, kind: str) -> None:
    other = "flat" if kind == "sq8" else "sq8"
    index = SegmentedIndex(spec(saved), small(other))
    reconcile(index, saved, "s", embed)
    index.maintain(1)
    index.close()
    assert {segment_kind for segment_kind, _ in index.kinds()} <= {other, "flat"}
    again = SegmentedIndex(spec(saved), small(other))
    assert_equal_to_store(again, saved)
    if other == "flat":  # no value has been through a shorter number
        features = np.concatenate([part.features for part in saved.all_features("s")])
        np.testing.assert_allclose(again.search(features, 1)[0][:, 0], 1, atol=1e-6)


def test_leftovers_of_a_kill_are_removed(saved: Store, kind: str) -> None:
    folder = saved.path.parent / "index" / "features"
    (folder / "manifest.json.tmp").write_bytes(b"half")
    (folder / f"{'0' * 32}.segment").write_bytes(b"never named in a manifest")
    before = sum(1 for _ in folder.iterdir())
    assert len(SegmentedIndex(spec(saved), small(kind))) == 200
    assert sum(1 for _ in folder.iterdir()) == before - 2


def test_a_full_disk_leaves_the_snapshot_before(
    saved: Store, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = SegmentedIndex(spec(saved), small(kind))
    fill(saved, 30, seed=1)
    reconcile(index, saved, "s", embed)

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", no_space)
        index.close()
    assert_equal_to_store(index, saved)
    assert len(SegmentedIndex(spec(saved), small(kind))) == 200


def test_a_gallery_comes_back_from_its_snapshot(tmp_path: Path, bundle: Bundle) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((40, 2048)).astype(np.float32)
    store = Store(tmp_path / "gallery.sqlite")
    gallery = Gallery(store, bundle, threads=1)
    ids = gallery.enrol(
        [NewEntry(f"p{i}", "c", gallery.space_id, row) for i, row in enumerate(vectors)]
    )
    assert gallery.search("features", vectors[:1], 1, 1)[0].entry_ids.tolist() == ids[:1]
    gallery.close()
    assert list((tmp_path / "index" / "features").glob("*.segment"))
    (tmp_path / "index" / "scheme-that-is-no-more-64").mkdir()
    again = Gallery(store, bundle, threads=1)
    assert again.wait_ready()
    results = again.search("features", vectors, 1, 1)
    assert [result.entry_ids.tolist() for result in results] == [[number] for number in ids]
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["features"]
    report = again.maintenance.delete_provably(ids[3:5])
    assert report.clean
    assert report.needles
    assert report.searched_bytes > 38 * 2048 * 8
    still_stored = again.maintenance.prove_deleted([], [vectors[10].tobytes()[:24]])
    assert still_stored.files == 1  # the search does find what is there
    again.close()
    store.close()


def test_without_snapshots_nothing_is_kept(tmp_path: Path, bundle: Bundle) -> None:
    store = Store(tmp_path / "gallery.sqlite")
    (tmp_path / "index" / "features").mkdir(parents=True)
    gallery = Gallery(store, bundle, threads=1, settings=GallerySettings(snapshots=False))
    vector = np.ones(2048, np.float32)
    gallery.enrol([NewEntry("a", "c", gallery.space_id, vector)])
    assert gallery.search("features", vector[None], 1, 1)[0].matches[0].subject == "a"
    gallery.close()
    assert not list((tmp_path / "index").iterdir())
    store.close()
