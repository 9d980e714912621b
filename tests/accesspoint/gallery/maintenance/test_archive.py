"""Backups and archives: there and back, and what a stranger's archive cannot do."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from accesspoint.errors import ConflictError, WrongSpaceError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.maintenance.archive_writer import Counts
from accesspoint.gallery.maintenance.backup import backup, restore
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle
from airreid.errors import InputError

DIM = 16


def small(bundle: Bundle, space_id: str = "one") -> Bundle:
    backbone = bundle.backbone.model_copy(update={"space_id": space_id, "feature_dim": DIM})
    manifest = bundle.manifest.model_copy(update={"backbones": (backbone,)})
    return Bundle(bundle.path, manifest, "tiny")


@pytest.fixture
def full(store: Store, bundle: Bundle) -> Iterator[Gallery]:
    """1,100 entries of 300 people, some with thumbnails and keys."""
    gallery = Gallery(store, small(bundle), threads=1)
    fill(gallery, 1100)
    yield gallery
    gallery.close()


@pytest.fixture
def few(store: Store, bundle: Bundle) -> Iterator[Gallery]:
    """As ``full``, with 40 entries."""
    gallery = Gallery(store, small(bundle), threads=1)
    fill(gallery, 40)
    yield gallery
    gallery.close()


def fill(gallery: Gallery, count: int) -> None:
    rng = np.random.default_rng(0)
    gallery.subjects.put("nobody", "No entries", "a note\nof two lines", 2e9)
    gallery.enrol(
        [
            NewEntry(
                f"p{i % 300:03}",
                f"c{i % 3}",
                "one",
                rng.standard_normal(DIM).astype(np.float32),
                captured_at=float(i),
                quality=0.5 if i % 2 else None,
                thumbnail=f"image {i}".encode() if i % 5 == 0 else None,
                expires_at=3e9 if i % 7 == 0 else None,
                model_digest="ab12",
                key=f"k{i}" if i % 4 == 0 else "",
            )
            for i in range(count)
        ]
    )


@pytest.fixture
def other(tmp_path: Path, bundle: Bundle) -> Iterator[Gallery]:
    store = Store(tmp_path / "other" / "gallery.sqlite")
    gallery = Gallery(store, small(bundle), threads=1)
    yield gallery
    gallery.close()
    store.close()


def contents(gallery: Gallery) -> tuple[list[object], list[object], bytes]:
    """Everything that an archive carries."""
    subjects = [
        (s.id, s.display_name, s.note, s.expires_at, s.entries)
        for s in gallery.subjects.page("", 9999)
    ]
    entries = [
        (
            e.subject,
            e.camera,
            e.captured_at,
            e.quality,
            e.expires_at,
            e.model_digest,
            e.key,
            gallery.thumbnail(e.id),
        )
        for e in gallery.entries(0, 9999)
    ]
    features = [part.features for part in gallery.store.all_features("one")]
    return list(subjects), list(entries), np.concatenate(features).tobytes()


def test_an_archive_carries_everything(full: Gallery, other: Gallery, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    ticks: list[tuple[int, int]] = []
    assert full.maintenance.export_archive(path, lambda *tick: ticks.append(tick)) == Counts(
        301, 1100
    )
    assert ticks == [(0, 1100), (1000, 1100), (1100, 1100)]
    assert path.stat().st_mode & 0o777 == 0o600
    assert other.maintenance.import_archive(path) == Counts(301, 1100)
    assert contents(other) == contents(full)
    indexes = other.store.database.rows("SELECT name FROM sqlite_master WHERE type = 'index'")
    assert ("entries_by_digest",) in indexes
    # a second time: nothing twice
    assert other.maintenance.import_archive(path) == Counts(301, 0, 1100)
    assert contents(other) == contents(full)
    with pytest.raises(InputError, match="exists already"):
        full.maintenance.export_archive(path)
    probe = next(full.store.all_features("one")).features[:1]
    assert other.search("features", probe, 1, 0)[0].matches[0].subject == "p000"


def test_conflicts_as_the_operator_says(full: Gallery, other: Gallery, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    full.maintenance.export_archive(path)
    other.subjects.put("p007", "Mine")
    with pytest.raises(ConflictError, match="subject p007 is there already; nothing imported"):
        other.maintenance.import_archive(path, "fail")
    assert other.counts() == (1, 0)
    other.maintenance.import_archive(path, "skip")
    assert other.subjects.get("p007").display_name == "Mine"  # type: ignore[union-attr]
    before = other.entries(0, 1)[0].id
    assert other.maintenance.import_archive(path, "replace") == Counts(301, 1100)
    assert other.subjects.get("p007").display_name == ""  # type: ignore[union-attr]
    assert other.entries(0, 1)[0].id > before
    assert contents(other) == contents(full)


def test_an_import_that_broke_off_goes_on(full: Gallery, other: Gallery, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    full.maintenance.export_archive(path)

    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        other.maintenance.import_archive(path, "skip", stop)
    assert other.counts() == (301, 1000)
    assert other.maintenance.import_archive(path) == Counts(301, 100, 1000)
    assert contents(other) == contents(full)


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None], seal: bool) -> None:
    """An archive whose maker changed members, and the manifest with them if ``seal``."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(members)
    if seal:
        manifest["members"] = [
            {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in members.items()
        ]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr("manifest.json", json.dumps(manifest))


def first_line(**fields: object) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        first, rest = members["entries-00000.jsonl"].split(b"\n", 1)
        line = json.dumps(json.loads(first) | fields).encode()
        members["entries-00000.jsonl"] = line + b"\n" + rest

    return change


def features(value: float) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        data = members["features-00000.f32"]
        members["features-00000.f32"] = np.float32([value] * DIM).tobytes() + data[4 * DIM :]

    return change


def archive_of_archives() -> bytes:
    """An archive in an archive, over and over, around ten million zeros."""
    data = bytes(10**7)
    for _ in range(5):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(10):
                archive.writestr(f"{number}.zip", data)
        data = packed.getvalue()
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update({"a.zip": archive_of_archives()}), "manifest.json: members"),
        (lambda m: m.update({"entries-00000.jsonl": archive_of_archives()}), "line 1"),
        (lambda m: m.update({"features-00000.f32": archive_of_archives()}), "does not fit"),
        (lambda m: m.update({"thumbnails-00000.bin": archive_of_archives()}), "does not fit"),
        (first_line(id=7), r"entries-00000.jsonl, line 1: id: Extra"),
        (first_line(created_at=7), r"line 1: created_at: Extra"),
        (first_line(subject="../../etc/passwd"), "subject '../../etc/passwd'"),
        (first_line(camera=""), "line 1: camera"),
        (first_line(quality=7), "quality 7"),
        (first_line(thumbnail=10**9), "line 1: thumbnail"),
        (first_line(thumbnail=3), "thumbnails-00000.bin does not fit"),
        (first_line(thumbnail=-1), "line 1: thumbnail"),
        (features(float("nan")), "all must be finite"),
        (features(0.0), "all zeros"),
        (lambda m: m.update({"../evil": b"x"}), "manifest.json: members"),
        (lambda m: m.update({"/etc/cron.d/evil": b"x"}), "manifest.json: members"),
        (lambda m: m.pop("features-00000.f32"), "features-00000.f32 is missing"),
        (lambda m: m.update({"features-00000.f32": b"12"}), "does not fit its lines"),
        (lambda m: m.update({"entries-00000.jsonl": b"{" * 99}), "line 1"),
        (lambda m: m.update({"entries-00000.jsonl": b'"' + b"x" * 99_999}), "too long"),
        (lambda m: m.update({"subjects-00000.jsonl": b"{}\n" * 1001}), "more than 1000 lines"),
        (lambda m: m.update({"subjects-00000.jsonl": b"\n" * 10**7}), "more than 1000 lines"),
        (lambda m: m.update({"subjects-00000.jsonl": b"\r" * 10**7}), "more than 1000 lines"),
        (lambda m: m.update({"subjects-00000.jsonl": b" " * 17 * 10**6}), "1000 lines may be"),
    ],
)
def test_a_hostile_archive_is_refused(
    few: Gallery,
    other: Gallery,
    tmp_path: Path,
    change: Callable[[dict[str, bytes]], None],
    message: str,
) -> None:
    path = tmp_path / "a.zip"
    few.maintenance.export_archive(path)
    rewritten(path, change, seal=True)
    before = {file for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(InputError, match=message):
        other.maintenance.import_archive(path)
    assert {file for file in tmp_path.rglob("*") if file.is_file()} == before
    assert other.counts()[1] == 0


def test_features_of_another_length_are_refused_before_a_member_is_read(
    few: Gallery, other: Gallery, tmp_path: Path
) -> None:
    path = tmp_path / "a.zip"
    few.maintenance.export_archive(path)
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        names = [name for name in archive.namelist() if name != "manifest.json"]
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"nothing that its digest fits")
        archive.writestr("manifest.json", json.dumps(manifest | {"feature_dim": 65536}))
    with pytest.raises(InputError, match=r"features of 65536 values; those of this space have 16"):
        other.maintenance.import_archive(path)


def test_every_member_can_be_the_last_of_a_cancelled_import(
    few: Gallery, other: Gallery, tmp_path: Path
) -> None:
    path = tmp_path / "a.zip"
    few.maintenance.export_archive(path)

    def many(members: dict[str, bytes]) -> None:
        first = members["subjects-00000.jsonl"].splitlines()[0] + b"\n"
        members |= {f"subjects-{number:05}.jsonl": first for number in range(1, 2000)}

    rewritten(path, many, seal=True)
    for mode, when in (("fail", 3), ("fail", 1500), ("skip", 1), ("skip", 700)):
        ticks = itertools.count(1)

        def stop(*_: int, ticks: Iterator[int] = ticks, when: int = when) -> None:
            if next(ticks) == when:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            other.maintenance.import_archive(path, mode, stop)  # type: ignore[arg-type]
        assert next(ticks) == when + 1


def test_a_list_of_millions_of_members_is_not_read(other: Gallery, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"")
    whole = path.read_bytes()
    end = whole.rindex(b"PK\x05\x06")
    claimed = (21 * 10**6).to_bytes(4, "little")
    path.write_bytes(whole[: end + 12] + claimed + whole[end + 16 :])
    with pytest.raises(InputError, match="too many members"):
        other.maintenance.import_archive(path)
    record = b"PK\x06\x06" + bytes(36) + (2**40).to_bytes(8, "little") + bytes(8)
    locator = b"PK\x06\x07" + bytes(4) + end.to_bytes(8, "little") + bytes(4)
    sentinel = whole[end : end + 12] + b"\xff" * 4 + whole[end + 16 :]
    path.write_bytes(whole[:end] + record + locator + sentinel)
    with pytest.raises(InputError, match="too many members"):
        other.maintenance.import_archive(path)


def test_damage_bombs_and_other_files_are_refused(
    few: Gallery, other: Gallery, tmp_path: Path
) -> None:
    path = tmp_path / "a.zip"
    few.maintenance.export_archive(path)
    whole = path.read_bytes()
    rewritten(path, features(1.0), seal=False)
    with pytest.raises(InputError, match=r"features-00000.f32 is damaged"):
        other.maintenance.import_archive(path)
    with pytest.raises(InputError, match="cannot be read as an archive"):
        other.maintenance.import_archive(tmp_path / "none.zip")
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read as an archive"):
        other.maintenance.import_archive(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * 3_000_000)
    with pytest.raises(InputError, match="compressed members"):
        other.maintenance.import_archive(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", b"hello")
    with pytest.raises(InputError, match=r"no manifest.json; not an archive"):
        other.maintenance.import_archive(path)
    assert other.counts() == (41, 0)


def test_an_archive_of_another_space(few: Gallery, tmp_path: Path, bundle: Bundle) -> None:
    path = tmp_path / "a.zip"
    few.maintenance.export_archive(path)
    store = Store(tmp_path / "two" / "gallery.sqlite")
    gallery = Gallery(store, small(bundle, "two"), threads=1)
    with pytest.raises(WrongSpaceError, match="of the feature space 'one'; this gallery"):
        gallery.maintenance.import_archive(path)
    gallery.close()
    store.close()


def test_backup_and_restore(full: Gallery, tmp_path: Path, bundle: Bundle) -> None:
    full.search("features", np.ones((1, DIM), np.float32), 1, 0)  # there is an index
    expected = contents(full)
    path = tmp_path / "backup #1?.sqlite"
    full.maintenance.backup(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("backup*.sqlite-*"))
    with pytest.raises(InputError, match="exists already"):
        full.maintenance.backup(path)
    full.delete_subject("p001")
    data_dir = full.store.path.parent
    with pytest.raises(InputError, match="in use by another access point"):
        restore(path, data_dir, replace=True)
    old = full.store.store_id
    full.close()
    full.store.close()
    with pytest.raises(InputError, match="there is a gallery already"):
        restore(path, data_dir)
    assert restore(path, data_dir, replace=True) == (301, 1100)
    assert not (data_dir / "index").exists()
    store = Store(data_dir / "gallery.sqlite")
    assert store.store_id != old
    gallery = Gallery(store, small(bundle), threads=1)
    assert contents(gallery) == expected
    gallery.close()
    store.close()
    assert restore(path, tmp_path / "elsewhere") == (301, 1100)


def test_only_a_whole_gallery_is_restored(full: Gallery, tmp_path: Path) -> None:
    path = tmp_path / "backup.sqlite"
    full.maintenance.backup(path)
    data = bytearray(path.read_bytes())
    data[8192:-8192] = bytes(len(data) - 16384)
    torn = tmp_path / "torn.sqlite"
    torn.write_bytes(data)
    notes = tmp_path / "notes"
    notes.write_bytes(b"not a database, and long enough to be looked at as one" * 20)
    stranger = tmp_path / "stranger.sqlite"
    db = sqlite3.connect(stranger)
    db.execute("CREATE TABLE t (x)")
    db.close()
    for file in (torn, notes, stranger, tmp_path / "none"):
        with pytest.raises(InputError, match=file.name):
            restore(file, tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(InputError, match="no gallery there"):
        backup(tmp_path / "none", tmp_path / "copy")
