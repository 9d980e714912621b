"""Features prove themselves when they are read: a damaged one is named and never served."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from accesspoint.gallery.maintenance.backup import backup, restore
from accesspoint.gallery.store.store import Store

from ..damage import cut, flip, lose
from ..short_features import DIM, Opener, nearest, new, vector

DAMAGES: dict[str, Callable[[Path, int], None]] = {
    "first byte": lambda path, number: flip(path, number, 0),
    "lowest bit": lambda path, number: flip(path, number, 4 * DIM - 4, 1),
    "a sign": lambda path, number: flip(path, number, 7, 0x80),
    "cut": cut,
    "lost": lose,
}


@pytest.fixture(params=list(DAMAGES))
def damage(request: pytest.FixtureRequest) -> Callable[[Path, int], None]:
    return DAMAGES[request.param]


def test_a_damaged_feature_is_never_served_and_the_others_are(
    store: Store,
    opened: Opener,
    damage: Callable[[Path, int], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    numbers = opened("one").enrol([new(f"p{i}", i) for i in range(5)])
    opened("one")
    damage(store.path, numbers[2])
    shutil.rmtree(store.path.parent / "index", ignore_errors=True)  # so that features are read
    gallery = opened("one")
    [result] = gallery.search("features", vector(2)[None], 5, 5)
    assert numbers[2] not in result.entry_ids
    assert {match.subject for match in result.matches} == {"p0", "p1", "p3", "p4"}
    for i in (0, 1, 3, 4):
        assert nearest(gallery, i) == (f"p{i}", numbers[i])
    assert store.features(numbers).ids.tolist() == [n for n in numbers if n != numbers[2]]
    warnings = [record for record in caplog.records if record.message == "entry_damaged"]
    assert [record.fields["entry"] for record in warnings] == [numbers[2]]  # type: ignore[attr-defined]
    assert gallery.entry(numbers[2]) is not None  # kept, for people to look at
    assert gallery.counts() == (5, 5)


def test_what_was_found_is_known_after_a_restart(store: Store, opened: Opener) -> None:
    """An index that still holds the entry as it was gives it up as well."""
    gallery = opened("one")
    good, bad = gallery.enrol([new("ada", 1), new("bob", 2)])
    assert nearest(gallery, 2) == ("bob", bad)
    flip(store.path, bad, 3)
    assert store.features([bad]).ids.tolist() == []
    for _ in range(2):
        [result] = gallery.search("features", vector(2)[None], 5, 5)
        assert [match.subject for match in result.matches] == ["ada"]
        assert result.entry_ids.tolist() == [good]
        gallery = opened("one")
    assert gallery.delete_entries([bad]) == [True]
    [again] = gallery.enrol([new("bob", 2)])
    assert nearest(gallery, 2) == ("bob", again)


def test_a_damaged_entry_can_be_proved_deleted(store: Store, opened: Opener) -> None:
    gallery = opened("one")
    _, bad = gallery.enrol([new("ada", 1), new("bob", 2)])
    flip(store.path, bad, 3)
    assert not len(store.features([bad]).ids)
    report = gallery.maintenance.delete_provably([bad])
    assert report.clean
    assert report.needles


def test_a_backup_names_damage_and_its_restored_gallery_serves_none(
    store: Store,
    opened: Opener,
    damage: Callable[[Path, int], None],
    tmp_path: Path,
) -> None:
    good, bad = opened("one").enrol([new("ada", 1), new("bob", 2)])
    copy = tmp_path / "whole.sqlite"
    assert backup(store.path, copy) == []
    damage(store.path, bad)
    assert backup(store.path, tmp_path / "damaged.sqlite") == [bad]
    damage(copy, bad)  # on the shelf
    for name in ("damaged", "whole"):
        restore(tmp_path / f"{name}.sqlite", tmp_path / name)
        again = Store(tmp_path / name / "gallery.sqlite")
        assert bad in again.quarantine
        assert again.ids_and_digests("one")[0].tolist() == [good]
        assert np.concatenate([f.ids for f in again.all_features("one")]).tolist() == [good]
        again.close()


def test_what_is_whole_is_let_go(store: Store, opened: Opener) -> None:
    gallery = opened("one")
    _, bad = gallery.enrol([new("ada", 1), new("bob", 2)])
    flip(store.path, bad, 3)
    assert not len(store.features([bad]).ids)
    flip(store.path, bad, 3)
    store.quarantine.release([bad])
    assert store.features([bad]).ids.tolist() == [bad]


def test_a_damaged_name_keeps_nobody_else_from_being_found(
    store: Store, opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = opened("one").enrol([new(f"p{i}", i) for i in range(4)])
    assert store.odd_names() == []
    with contextlib.closing(sqlite3.connect(store.path)) as db, db:
        db.execute("PRAGMA foreign_keys = OFF")
        odd = "UPDATE entries SET camera = CAST(x'ff31' AS TEXT) WHERE id = ?"
        db.execute(odd, (numbers[1],))
        db.execute("UPDATE subjects SET note = CAST(x'61ff' AS TEXT) WHERE id = 'p2'")
    gallery = opened("one")
    assert gallery.wait_ready()
    [result] = gallery.search("features", vector(1)[None], 5, 5)
    assert {match.subject for match in result.matches} == {"p0", "p2", "p3"}
    assert {"text_damaged", "entry_without_owner"} <= {r.message for r in caplog.records}
    assert store.odd_names() == [numbers[1]]
    assert gallery.subjects.existing("p2").note == "a\ufffd"
    assert gallery.subjects.put("p2", "Name")[0].display_name == "Name"
    report = gallery.maintenance.scrub()
    assert any("names that none can have" in problem for problem in report.store)
    assert gallery.delete_entries([numbers[1]]) == [True]
    assert gallery.maintenance.scrub().store == ()
