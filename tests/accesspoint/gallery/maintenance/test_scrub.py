"""A scrub finds whatever was altered, says where, and mends what can be made from the rest."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.search.segmented_index import SegmentedIndex
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle

from ..damage import flip
from ..short_features import DIM, Opener, nearest, new, vector
from ..store.test_quarantine import DAMAGES


def people(gallery: Gallery, count: int = 12) -> list[int]:
    numbers = gallery.enrol([new(f"p{i}", i) for i in range(count)])
    nearest(gallery, 0)
    return numbers


def everybody_is_found(gallery: Gallery, *but: int) -> None:
    for i in range(12):
        if i not in but:
            assert nearest(gallery, i)[0] == f"p{i}"


def test_nothing_is_found_where_nothing_is_wrong(store: Store, opened: Opener) -> None:
    gallery = opened("one")
    assert gallery.maintenance.scrub().clean
    people(gallery)
    steps: list[tuple[int, int]] = []
    pauses: list[int] = []
    report = gallery.maintenance.scrub(
        lambda done, total: steps.append((done, total)), lambda: pauses.append(1)
    )
    assert report.clean, report
    assert report.entries == 12
    assert steps[-1] == (12, 12)
    assert pauses
    assert opened("one").maintenance.scrub().clean  # of a snapshot


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_every_altered_feature_is_found_though_the_index_does_not_read_it(
    store: Store, opened: Opener, damage: Callable[[Path, int], None]
) -> None:
    gallery = opened("one")
    numbers = people(gallery)
    for place in (3, 7):
        damage(store.path, numbers[place])
    report = gallery.maintenance.scrub()
    assert report.damaged == (numbers[3], numbers[7])
    assert report.damaged_count == 2
    assert not report.clean
    for place in (3, 7):
        [result] = gallery.search("features", vector(place)[None], 12, 12)
        assert numbers[place] not in result.entry_ids
        assert f"p{place}" not in {match.subject for match in result.matches}
    everybody_is_found(gallery, 3, 7)
    assert gallery.maintenance.scrub().damaged_count == 2  # until somebody does something
    gallery.delete_entries([numbers[3], numbers[7]])
    assert gallery.maintenance.scrub().clean
    everybody_is_found(opened("one"), 3, 7)


def test_an_entry_that_is_whole_after_all_is_served_again(store: Store, opened: Opener) -> None:
    gallery = opened("one")
    numbers = people(gallery)
    flip(store.path, numbers[3], 2)
    assert gallery.maintenance.scrub().damaged == (numbers[3],)
    flip(store.path, numbers[3], 2)  # the disk gives what was written
    report = gallery.maintenance.scrub()
    assert report.released == (numbers[3],)
    assert report.clean
    everybody_is_found(gallery)
    everybody_is_found(opened("one"))


def forget(index: SegmentedIndex, numbers: list[int]) -> None:
    index.remove(np.asarray(numbers[4:6]))


def invent(index: SegmentedIndex, numbers: list[int]) -> None:
    index.add(np.array([10_000]), np.array([5]), vector(99)[None])


def twist(index: SegmentedIndex, numbers: list[int]) -> None:
    index._view.tail[2] = vector(77)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (forget, "holds 0 entries that the store has not, lacks 2 that it has"),
        (invent, "holds 1 entries that the store has not, lacks 0"),
        (twist, "does not find entry 3 by its own embedding"),
    ],
)
def test_an_index_that_differs_from_the_store_is_made_anew(
    opened: Opener, change: Callable[[SegmentedIndex, list[int]], None], words: str
) -> None:
    gallery = opened("one")
    numbers = people(gallery)
    index = gallery.index("features")
    assert isinstance(index, SegmentedIndex)
    change(index, numbers)
    report = gallery.maintenance.scrub()
    [problem] = report.indexes
    assert problem.startswith("features: ")
    assert words in problem
    everybody_is_found(gallery)
    assert gallery.maintenance.scrub().clean
    everybody_is_found(opened("one"))


@pytest.mark.parametrize("name", ["*.segment", "manifest.json"])
@pytest.mark.parametrize("kind", ["flat", "sq8"])
def test_a_damaged_snapshot_is_written_anew(
    store: Store, bundle: Bundle, name: str, kind: str
) -> None:
    backbone = bundle.backbone.model_copy(update={"space_id": "one", "feature_dim": DIM})
    manifest = bundle.manifest.model_copy(update={"backbones": (backbone,)})
    settings = GallerySettings(index=kind, snapshot_changes=1, segment_rows=16)
    gallery = Gallery(store, Bundle(bundle.path, manifest, "t"), 1, settings)
    gallery.enrol([new(f"p{i}", i) for i in range(40)])
    nearest(gallery, 0)
    gallery.maintenance.run_now()
    files = sorted((store.path.parent / "index" / "features").glob(name))
    if not files:  # written once something has changed
        gallery.enrol([new("late", 90)])
        gallery.maintenance.run_now()
        files = sorted((store.path.parent / "index" / "features").glob(name))
    data = bytearray(files[0].read_bytes())
    data[len(data) // 2] ^= 1
    files[0].write_bytes(data)
    report = gallery.maintenance.scrub()
    assert "of its snapshot is damaged" in report.indexes[0]
    everybody_is_found(gallery)
    assert gallery.maintenance.scrub().clean
    gallery.close()
    again = Gallery(store, Bundle(bundle.path, manifest, "t"), 1, settings)
    assert again.wait_ready()
    everybody_is_found(again)
    assert again.maintenance.scrub().clean
    again.close()


def test_rows_that_belong_to_nothing_are_told(store: Store, opened: Opener) -> None:
    gallery = opened("one")
    people(gallery)
    with contextlib.closing(sqlite3.connect(store.path)) as db, db:
        db.execute("INSERT INTO features VALUES (777, x'00')")
    [problem] = gallery.maintenance.scrub().store
    assert problem.startswith("1 rows of features belong to nothing")


def test_a_gallery_that_is_only_read_is_looked_at_and_left_as_it_is(
    store: Store, opened: Opener, bundle: Bundle
) -> None:
    gallery = opened("one")
    numbers = people(gallery)
    opened("one")
    flip(store.path, numbers[3], 2)
    store.close()
    before = {path: path.read_bytes() for path in store.path.parent.rglob("*") if path.is_file()}
    backbone = bundle.backbone.model_copy(update={"space_id": "one", "feature_dim": DIM})
    manifest = bundle.manifest.model_copy(update={"backbones": (backbone,)})
    read = Store(store.path, read_only=True)
    settings = GallerySettings(read_only=True)
    only_read = Gallery(read, Bundle(bundle.path, manifest, "t"), 1, settings)
    report = only_read.maintenance.scrub()
    assert report.damaged == (numbers[3],)
    everybody_is_found(only_read, 3)
    only_read.close()
    read.close()
    after = {path: path.read_bytes() for path in store.path.parent.rglob("*") if path.is_file()}
    assert after == before
    assert set(asdict(report)) >= {"damaged", "store", "indexes"}
