"""One access point writes a gallery on Milvus, others read it: they see the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from accesspoint.errors import ConflictError, NotReadyError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.milvus.applied_table import AppliedTable
from accesspoint.gallery.milvus.client import MilvusServer, MilvusSettings
from accesspoint.gallery.milvus.collection import Collection
from accesspoint.gallery.milvus.gallery import ReadingGallery, WritingGallery
from accesspoint.gallery.milvus.reader import SHARED
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.search.reconcile import FEATURES
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store.store import Store
from accesspoint.matching.policy import SETTING
from airreid.bundle import Bundle
from airreid.errors import BundleError, InputError

from .milvus_lite_server import MilvusLite
from .tiny import CORNERS, DIM, prefixes, tiny_bundle

Open = Callable[..., Gallery]


@pytest.fixture
def milvus(lite: MilvusLite) -> MilvusSettings:
    return MilvusSettings(uri=lite.uri, prefix=next(prefixes), timeout_s=5, schemes=(FEATURES,))


@pytest.fixture
def open_gallery(milvus: MilvusSettings, tmp_path: Path) -> Iterator[Open]:
    """Opens a gallery over a folder of the test; closes them all at the end."""
    opened: list[tuple[Gallery, Store]] = []

    def start(
        kind: type[WritingGallery | ReadingGallery],
        folder: str,
        bundle: Bundle | None = None,
        **changes: object,
    ) -> Gallery:
        store = Store(tmp_path / folder / "gallery.sqlite")
        settings = milvus.model_copy(update=changes)
        try:
            made = kind(store, bundle or tiny_bundle(), 1, GallerySettings(), settings)
        except Exception:
            store.close()
            raise
        opened.append((made, store))
        return made

    yield start
    for gallery, store in reversed(opened):
        gallery.close()
        store.close()


def until_ready(gallery: Gallery) -> None:
    assert gallery.wait_ready(60), "not ready"


def entry(who: str, corner: int) -> NewEntry:
    return NewEntry(who, "c1", "tiny", CORNERS[corner])


def answers(gallery: Gallery, top_k: int, top_entries: int) -> list[tuple[object, ...]]:
    return [
        (found.matches, found.entry_ids.tolist(), found.scores.tolist())
        for found in gallery.search(FEATURES, CORNERS, top_k, top_entries)
    ]


def test_a_reader_sees_each_change_once_it_is_acknowledged(open_gallery: Open) -> None:
    writer = open_gallery(WritingGallery, "writer")
    until_ready(writer)
    readers = [open_gallery(ReadingGallery, f"reader-{i}") for i in range(2)]
    for reader in readers:
        until_ready(reader)
    rng = np.random.default_rng(5)
    for i in range(12):
        people = [f"p{n}" for n in rng.integers(0, 6, 4)]
        writer.enrol([entry(who, int(rng.integers(16))) for who in people])
        if i % 3 == 1:
            writer.delete_entries([int(rng.integers(1, 4 * i))])
        if i % 4 == 2:
            writer.delete_subject(people[0])
        if i % 4 == 3 and people[0] != people[1]:
            writer.merge_subjects(people[0], people[1])
        expected = answers(writer, 3, 5)
        for reader in readers:
            assert answers(reader, 3, 5) == expected
    assert answers(readers[0], 6, 0) == answers(writer, 6, 0)


def test_a_subject_with_most_of_the_entries_does_not_hide_the_others(open_gallery: Open) -> None:
    writer = open_gallery(WritingGallery, "writer")
    until_ready(writer)
    writer.enrol([entry("crowd", 3)] * 60 + [entry("ada", 5), entry("ben", 9)])
    reader = open_gallery(ReadingGallery, "reader")
    until_ready(reader)
    [found] = reader.search(FEATURES, CORNERS[[3]], 3, 1)
    assert {match.subject for match in found.matches} == {"crowd", "ada", "ben"}
    assert len(found.entry_ids) == 1
    assert [f.matches for f in writer.search(FEATURES, CORNERS[[3]], 3, 1)] == [found.matches]


def test_a_reader_changes_nothing_and_says_who_does(open_gallery: Open, tmp_path: Path) -> None:
    until_ready(open_gallery(WritingGallery, "writer"))
    reader = open_gallery(ReadingGallery, "reader")
    for refused in (
        lambda: reader.enrol([entry("ada", 1)]),
        lambda: reader.put_subject("ada"),
        lambda: reader.patch_subject("ada", note="x"),
        lambda: reader.subject("ada"),
        lambda: reader.subjects("", 10),
        lambda: reader.delete_subject("ada"),
        lambda: reader.merge_subjects("ada", "ben"),
        lambda: reader.entry(1),
        lambda: reader.entries(0, 10),
        lambda: reader.thumbnail(1),
        lambda: reader.delete_entries([1]),
        lambda: reader.delete_entry(1),
        lambda: reader.delete_provably([1]),
        lambda: reader.prove_deleted([1]),
        lambda: reader.backup(tmp_path / "copy"),
        lambda: reader.export_archive(tmp_path / "copy"),
        lambda: reader.import_archive(tmp_path / "copy"),
    ):
        with pytest.raises(ConflictError, match="at the one that writes it"):
            refused()


def test_nothing_is_called_proved_that_cannot_be(open_gallery: Open) -> None:
    writer = open_gallery(WritingGallery, "writer")
    until_ready(writer)
    ids = writer.enrol([entry("ada", 1)])
    with pytest.raises(ConflictError, match="nothing can be proved"):
        writer.delete_provably(ids)
    assert writer.counts() == (1, 1)


def test_a_reader_waits_for_a_writer_with_the_same_bundle(open_gallery: Open) -> None:
    reader = open_gallery(ReadingGallery, "reader")
    with pytest.raises(NotReadyError, match="is the writing access point up"):
        answers(reader, 1, 1)
    assert not reader.wait_ready(0.2)
    other = open_gallery(WritingGallery, "writer", bundle=tiny_bundle("other"))
    until_ready(other)
    with pytest.raises(NotReadyError, match="feature space tiny"):
        answers(reader, 1, 1)


def test_a_scheme_that_the_writer_does_not_keep(open_gallery: Open) -> None:
    until_ready(open_gallery(WritingGallery, "writer"))
    reader = open_gallery(ReadingGallery, "reader")
    until_ready(reader)
    with pytest.raises(NotReadyError, match="keeps no collection of jscc-fc-4"):
        reader.search("jscc-fc-4", CORNERS[:1], 1, 1)
    with pytest.raises(BundleError, match="jscc-fc-8"):
        reader.search("jscc-fc-8", CORNERS[:1], 1, 1)
    with pytest.raises(BundleError, match="jscc-fc-8"):
        open_gallery(WritingGallery, "another", schemes=("jscc-fc-8",))


def test_a_gallery_of_its_own_is_no_readers(open_gallery: Open, tmp_path: Path) -> None:
    store = Store(tmp_path / "reader" / "gallery.sqlite")
    store.put_subject("ada")
    store.close()
    with pytest.raises(InputError, match="entries of its own"):
        open_gallery(ReadingGallery, "reader")


def test_both_come_back_after_the_server_was_killed(
    open_gallery: Open, own_lite: MilvusLite
) -> None:
    writer = open_gallery(WritingGallery, "writer", uri=own_lite.uri, timeout_s=2)
    until_ready(writer)
    writer.enrol([entry("ada", 1), entry("ben", 2)])
    reader = open_gallery(ReadingGallery, "reader", uri=own_lite.uri, timeout_s=2)
    until_ready(reader)
    expected = answers(reader, 2, 2)
    own_lite.kill()
    for gallery in (writer, reader):
        with pytest.raises(NotReadyError, match="Milvus"):
            answers(gallery, 2, 2)
    writer.enrol([entry("cleo", 4)])
    writer.delete_subject("ada")
    assert not writer.ready
    own_lite.start()
    until_ready(writer)
    until_ready(reader)
    assert answers(reader, 3, 3) == answers(writer, 3, 3)
    assert {m.subject for m in answers(reader, 3, 0)[4][0]} == {"ben", "cleo"}
    assert answers(reader, 2, 2) != expected


def test_rows_that_vanish_are_written_again_without_a_restart(
    open_gallery: Open, milvus: MilvusSettings, caplog: pytest.LogCaptureFixture
) -> None:
    writer = open_gallery(WritingGallery, "writer")
    until_ready(writer)
    writer.enrol([entry("ada", 1), entry("ben", 2)])
    reader = open_gallery(ReadingGallery, "reader")
    until_ready(reader)
    expected = answers(reader, 2, 2)
    server = MilvusServer(milvus)
    [name] = AppliedTable(server).all()
    Collection(server, name, DIM).delete([1])
    server.close()
    assert answers(reader, 2, 2) != expected
    writer.tidy()
    said = [str(getattr(record, "fields", "")) for record in caplog.records]
    assert any("1 rows and should have 2" in one for one in said)
    for _ in range(50):  # the reader has seen that the writer is at it
        if not reader.ready:
            break
        time.sleep(0.05)
    until_ready(writer)
    assert answers(writer, 2, 2) == expected
    until_ready(reader)
    assert answers(reader, 2, 2) == expected
    assert reader.counts() == writer.counts() == (2, 2)
    assert reader.entries_elsewhere() == 0


def test_a_collection_that_is_being_filled_answers_nobody(
    open_gallery: Open, milvus: MilvusSettings
) -> None:
    writer = open_gallery(WritingGallery, "writer")
    writer.enrol([entry("ada", 1), entry("ben", 2)])
    until_ready(writer)
    reader = open_gallery(ReadingGallery, "reader")
    until_ready(reader)
    server = MilvusServer(milvus)
    table = AppliedTable(server)
    [(name, applied)] = table.all().items()
    assert applied.complete
    table.write(name, applied.model_copy(update={"complete": False}))
    for _ in range(100):
        if not reader.ready:
            break
        time.sleep(0.05)
    with pytest.raises(NotReadyError, match="features is being filled"):
        answers(reader, 1, 1)
    server.close()


def test_when_it_is_a_match_is_for_the_writer_to_say(open_gallery: Open) -> None:
    assert SETTING in SHARED
    writer = open_gallery(WritingGallery, "writer")
    until_ready(writer)
    reader = open_gallery(ReadingGallery, "reader")
    until_ready(reader)
    assert reader.setting(SETTING) is None
    for text in ('{"first": 1}', '{"second": 2}'):
        writer.set_setting(SETTING, text)
        for _ in range(100):
            if reader.setting(SETTING) == text:
                break
            time.sleep(0.1)
        assert reader.setting(SETTING) == text
    with pytest.raises(ConflictError, match="at the one that writes"):
        reader.set_setting(SETTING, "{}")
    reader.set_setting("page_key", "its own")
    assert (reader.setting("page_key"), writer.setting("page_key")) == ("its own", None)
    assert reader.ready
