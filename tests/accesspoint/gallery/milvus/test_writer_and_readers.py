"""One access point writes a gallery on Milvus, others read it: they see the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from accesspoint.api.auth import Principal
from accesspoint.api.enrolment import Candidate, Enrolled, Source
from accesspoint.api.problems import kind_of
from accesspoint.assembly import access_point
from accesspoint.errors import ConflictError, NotReadyError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.milvus.applied_table import AppliedTable
from accesspoint.gallery.milvus.client import MilvusServer, MilvusSettings
from accesspoint.gallery.milvus.collection import Collection
from accesspoint.gallery.milvus.read_only_gallery import SHARED_SETTINGS
from accesspoint.gallery.opening import ServedGallery, opened_gallery, writable_part
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.search.reconcile import FEATURES
from accesspoint.gallery.store.store import Store
from accesspoint.matching.policy import SETTING
from accesspoint.settings import ServeSettings
from airreid.bundle import Bundle
from airreid.errors import BundleError, InputError
from airreid.scheme import DIRECT_SNR_DB

from .milvus_servers import LocalMilvus
from .tiny import CORNERS, DIM, prefixes, tiny_bundle

Open = Callable[..., ServedGallery]
OpenWriter = Callable[..., Gallery]


@pytest.fixture
def milvus(shared_server: LocalMilvus) -> MilvusSettings:
    return MilvusSettings(
        uri=shared_server.uri,
        prefix=next(prefixes),
        timeout_s=max(5, shared_server.timeout_s),
        schemes=(FEATURES,),
    )


@pytest.fixture
def open_gallery(milvus: MilvusSettings, tmp_path: Path) -> Iterator[Open]:
    """Opens a gallery over a folder of the test; closes them all at the end."""
    with ExitStack() as opened:

        def start(
            role: str, folder: str, bundle: Bundle | None = None, **changes: object
        ) -> ServedGallery:
            settings = milvus.model_copy(update={"role": role, **changes})
            path = tmp_path / folder / "gallery.sqlite"
            return opened.enter_context(
                opened_gallery(path, bundle or tiny_bundle(), 1, milvus=settings)
            )

        yield start


@pytest.fixture
def open_writer(open_gallery: Open) -> OpenWriter:
    return lambda folder, *arguments, **changes: writable_part(
        open_gallery("writer", folder, *arguments, **changes)
    )


@pytest.fixture
def open_reader(open_gallery: Open) -> Open:
    return lambda folder, **changes: open_gallery("reader", folder, **changes)


def until_ready(gallery: ServedGallery) -> None:
    assert gallery.wait_ready(60), "not ready"


def entry(who: str, corner: int) -> NewEntry:
    return NewEntry(who, "c1", "tiny", CORNERS[corner])


def answers(gallery: ServedGallery, top_k: int, top_entries: int) -> list[tuple[object, ...]]:
    return [
        (result.matches, result.entry_ids.tolist(), result.scores.tolist())
        for result in gallery.search(FEATURES, CORNERS, top_k, top_entries)
    ]


def test_a_reader_sees_each_change_once_it_is_acknowledged(
    open_writer: OpenWriter, open_reader: Open
) -> None:
    writer = open_writer("writer")
    until_ready(writer)
    readers = [open_reader(f"reader-{i}") for i in range(2)]
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


def test_a_subject_with_most_of_the_entries_does_not_hide_the_others(
    open_writer: OpenWriter, open_reader: Open
) -> None:
    writer = open_writer("writer")
    until_ready(writer)
    writer.enrol([entry("crowd", 3)] * 60 + [entry("ada", 5), entry("ben", 9)])
    reader = open_reader("reader")
    until_ready(reader)
    [result] = reader.search(FEATURES, CORNERS[[3]], 3, 1)
    assert {match.subject for match in result.matches} == {"crowd", "ada", "ben"}
    assert len(result.entry_ids) == 1
    assert [f.matches for f in writer.search(FEATURES, CORNERS[[3]], 3, 1)] == [result.matches]


ANYBODY = Principal("test", "local", frozenset())


def refused(call: Callable[[], object]) -> None:
    """Asserts that a call is refused at a reader, over HTTP with 409."""
    with pytest.raises(ConflictError) as refusal:
        call()
    assert str(refusal.value) == (
        "this access point reads a shared gallery: list, enrol and delete at the one that writes it"
    )
    assert kind_of(refusal.value).http == 409


def test_a_reader_changes_nothing_and_says_who_does(
    open_writer: OpenWriter, milvus: MilvusSettings, tmp_path: Path
) -> None:
    writer = open_writer("writer")
    writer.enrol([entry("ada", 1)])
    until_ready(writer)
    settings = ServeSettings(
        data_dir=tmp_path / "reader", milvus=milvus.model_copy(update={"role": "reader"})
    )
    with access_point(tiny_bundle(), settings) as services:
        assert services.gallery.writable is None
        until_ready(services.gallery)
        service, search = services.rest.service, services.rest.search_service
        source = Source(feature=CORNERS[1], space_id="tiny")
        for call in (
            lambda: service.put_subject(ANYBODY, "ada", None, None, None),
            lambda: service.patch_subject(ANYBODY, "ada", note="x"),
            lambda: service.subject("ada"),
            lambda: service.subjects("", 10, ""),
            lambda: service.delete_subject(ANYBODY, "ada"),
            lambda: service.merge_subjects(ANYBODY, "ada", "ben"),
            lambda: service.entry(1),
            lambda: service.entries("", "", 10, ""),
            lambda: service.thumbnail(1),
            lambda: service.delete_entries(ANYBODY, [1]),
            lambda: service.delete_entry(ANYBODY, 1),
            lambda: search.search(source, 1, 1, FEATURES),
            lambda: search.verify("ada", source, FEATURES),
            lambda: search.set_policy(ANYBODY, "{}", ""),
        ):
            refused(call)
        kinds = services.rest.jobs.kinds
        (tmp_path / "reader" / "archives").mkdir()
        (tmp_path / "reader" / "archives" / "other.zip").touch()
        for kind, parameters in (
            ("calibrate", {"schemes": FEATURES}),
            ("backup", {}),
            ("export", {}),
            ("import", {"name": "other"}),
            ("reindex", {}),
            ("prove_deleted", {"entries": "1"}),
            ("prove_deleted", {"entries": "1", "delete": "true"}),
        ):
            refused(partial(kinds[kind].run, ANYBODY, parameters, lambda done, total: None))
        [verdict] = service.enrol(ANYBODY, [Candidate("ben", "c1", source)])
        assert isinstance(verdict, ConflictError)
        assert "at the one that writes it" in str(verdict)
        with pytest.raises(InputError, match="128 characters"):
            service.subject("a" * 129)
        assert search.search(source, 1, 0, FEATURES).result.matches[0].subject == "ada"
        state = service.state()
        assert (state.subjects, state.other_space_entries, state.ready) == (1, 0, True)


def test_a_linear_decoder_gives_a_reader_embeddings_as_the_collection_has_them(
    open_writer: OpenWriter, open_reader: Open, bundle: Bundle
) -> None:
    scheme_id = "jscc-ae-256"
    writer = open_writer("writer", bundle, schemes=(scheme_id,))
    features = np.random.default_rng(1).random((8, bundle.backbone.feature_dim), np.float32)
    writer.enrol([NewEntry(f"p{i}", "c1", writer.space_id, row) for i, row in enumerate(features)])
    until_ready(writer)
    reader = open_reader("reader", bundle=bundle, schemes=(scheme_id,))
    until_ready(reader)
    scheme = reader.scheme(scheme_id)
    received = scheme.unpack(scheme.pack(features, "analog"), [DIRECT_SNR_DB] * len(features))
    result = reader.search(scheme_id, received.embeddings, 1, 0)
    assert [answer.matches[0].subject for answer in result] == [f"p{i}" for i in range(8)]


def test_nothing_is_called_proved_that_cannot_be(open_writer: OpenWriter) -> None:
    writer = open_writer("writer")
    until_ready(writer)
    ids = writer.enrol([entry("ada", 1)])
    with pytest.raises(ConflictError, match="nothing can be proved"):
        writer.maintenance.delete_provably(ids)
    assert writer.counts() == (1, 1)


def test_a_reader_waits_for_a_writer_with_the_same_bundle(
    open_writer: OpenWriter, open_reader: Open
) -> None:
    reader = open_reader("reader")
    with pytest.raises(NotReadyError, match="is the writing access point up"):
        answers(reader, 1, 1)
    assert not reader.wait_ready(0.2)
    other = open_writer("writer", bundle=tiny_bundle("other"))
    until_ready(other)
    with pytest.raises(NotReadyError, match="feature space tiny"):
        answers(reader, 1, 1)


def test_a_scheme_that_the_writer_does_not_keep(open_writer: OpenWriter, open_reader: Open) -> None:
    until_ready(open_writer("writer"))
    reader = open_reader("reader")
    until_ready(reader)
    with pytest.raises(NotReadyError, match="keeps no collection of jscc-fc-4"):
        reader.search("jscc-fc-4", CORNERS[:1], 1, 1)
    with pytest.raises(BundleError, match="jscc-fc-8"):
        reader.search("jscc-fc-8", CORNERS[:1], 1, 1)
    with pytest.raises(BundleError, match="jscc-fc-8"):
        open_writer("another", schemes=("jscc-fc-8",))


def test_a_gallery_of_its_own_is_no_readers(open_reader: Open, tmp_path: Path) -> None:
    store = Store(tmp_path / "reader" / "gallery.sqlite")
    store.subjects.put("ada")
    store.close()
    with pytest.raises(InputError, match="entries of its own"):
        open_reader("reader")


def test_both_come_back_after_the_server_was_killed(
    open_writer: OpenWriter, open_reader: Open, own_server: LocalMilvus
) -> None:
    writer = open_writer("writer", uri=own_server.uri, timeout_s=own_server.timeout_s)
    until_ready(writer)
    writer.enrol([entry("ada", 1), entry("ben", 2)])
    reader = open_reader("reader", uri=own_server.uri, timeout_s=own_server.timeout_s)
    until_ready(reader)
    expected = answers(reader, 2, 2)
    own_server.kill()
    for gallery in (writer, reader):
        with pytest.raises(NotReadyError, match="Milvus"):
            answers(gallery, 2, 2)
    writer.enrol([entry("cleo", 4)])
    writer.delete_subject("ada")
    assert not writer.ready
    own_server.start()
    until_ready(writer)
    until_ready(reader)
    assert answers(reader, 3, 3) == answers(writer, 3, 3)
    assert {m.subject for m in answers(reader, 3, 0)[4][0]} == {"ben", "cleo"}
    assert answers(reader, 2, 2) != expected


def test_rows_that_vanish_are_written_again_without_a_restart(
    open_writer: OpenWriter,
    open_reader: Open,
    milvus: MilvusSettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    writer = open_writer("writer")
    until_ready(writer)
    writer.enrol([entry("ada", 1), entry("ben", 2)])
    reader = open_reader("reader")
    until_ready(reader)
    expected = answers(reader, 2, 2)
    server = MilvusServer(milvus)
    [name] = AppliedTable(server).all()
    Collection(server, name, DIM).delete([1])
    server.close()
    assert answers(reader, 2, 2) != expected
    writer.maintenance.run_now()
    messages = [str(getattr(record, "fields", "")) for record in caplog.records]
    assert any("1 rows and should have 2" in message for message in messages)
    for _ in range(50):  # the reader has seen that the writer is at it
        if not reader.ready:
            break
        time.sleep(0.05)
    until_ready(writer)
    assert answers(writer, 2, 2) == expected
    until_ready(reader)
    assert answers(reader, 2, 2) == expected
    assert reader.counts() == writer.counts() == (2, 2)


def test_a_collection_that_is_being_filled_answers_nobody(
    open_writer: OpenWriter, open_reader: Open, milvus: MilvusSettings
) -> None:
    writer = open_writer("writer")
    writer.enrol([entry("ada", 1), entry("ben", 2)])
    until_ready(writer)
    reader = open_reader("reader")
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


def test_when_it_is_a_match_is_for_the_writer_to_say(
    open_writer: OpenWriter, open_reader: Open
) -> None:
    assert SETTING in SHARED_SETTINGS
    writer = open_writer("writer")
    until_ready(writer)
    reader = open_reader("reader")
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


def test_the_writer_goes_on_durably_while_milvus_is_away(
    own_server: LocalMilvus, milvus: MilvusSettings, tmp_path: Path
) -> None:
    """Over the interface, which also looks for doubles: that is skipped, and said."""
    changes = {"role": "writer", "uri": own_server.uri, "timeout_s": own_server.timeout_s}
    settings = ServeSettings(data_dir=tmp_path / "writer", milvus=milvus.model_copy(update=changes))
    with access_point(tiny_bundle(), settings) as services:
        until_ready(services.gallery)
        service = services.rest.service
        candidates = [
            Candidate(name, "c1", Source(feature=CORNERS[i], space_id="tiny"))
            for i, name in enumerate(("ada", "ben", "zoe"))
        ]
        assert isinstance(service.enrol(ANYBODY, [candidates.pop()])[0], Enrolled)
        own_server.kill()
        verdicts = service.enrol(ANYBODY, candidates)
        for verdict in verdicts:
            assert isinstance(verdict, Enrolled), verdict
            assert verdict.warnings[0].startswith("not compared with the gallery: Milvus at")
        assert service.state().entries == 3
        assert services.rest.not_ready().startswith("Milvus at")
        assert service.delete_subject(ANYBODY, "ben") == 1
        own_server.start()
        until_ready(services.gallery)
        assert services.rest.not_ready() == ""
        [result] = services.gallery.search(FEATURES, CORNERS[:1], 1, 0)
        assert [match.subject for match in result.matches] == ["ada"]
        [again] = service.enrol(
            ANYBODY, [Candidate("cleo", "c1", Source(feature=CORNERS[0], space_id="tiny"))]
        )
        assert isinstance(again, Enrolled)
        assert "looks like subject ada" in again.warnings[0]


def test_a_writer_that_starts_without_milvus_says_so(
    own_server: LocalMilvus, milvus: MilvusSettings, tmp_path: Path
) -> None:
    own_server.kill()
    changes = {"role": "writer", "uri": own_server.uri, "timeout_s": 1}
    settings = ServeSettings(data_dir=tmp_path / "writer", milvus=milvus.model_copy(update=changes))
    with access_point(tiny_bundle(), settings) as services:
        candidate = Candidate("ada", "c1", Source(feature=CORNERS[0], space_id="tiny"))
        [verdict] = services.rest.service.enrol(ANYBODY, [candidate])
        assert isinstance(verdict, Enrolled), verdict
        services.gallery.wait_ready(0.2)
        assert "Milvus at" in services.rest.not_ready()
        assert services.gallery.load_failure == ""
