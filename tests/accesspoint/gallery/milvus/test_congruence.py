"""A gallery on Milvus answers as one on exact FAISS does, through crashes of either."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from accesspoint.errors import NotReadyError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.milvus.applied_table import AppliedTable
from accesspoint.gallery.milvus.client import MilvusServer, MilvusSettings
from accesspoint.gallery.milvus.collection import Collection
from accesspoint.gallery.milvus.collections import MilvusCollections
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.search.index import IndexSpec, LiveIndexes, OpenIndex
from accesspoint.gallery.search.reconcile import FEATURES, replay
from accesspoint.gallery.store.store import Store
from airreid.errors import InputError

from .milvus_servers import LocalMilvus, free_port
from .tiny import CORNERS, DIM, prefixes, tiny_bundle


@pytest.fixture
def milvus(shared_server: LocalMilvus) -> MilvusSettings:
    return MilvusSettings(
        uri=shared_server.uri, prefix=next(prefixes), timeout_s=max(5, shared_server.timeout_s)
    )


class Unattended:
    """Remote indexes that nothing but the test keeps up to date."""

    problem = ""

    def __init__(self, open_index: OpenIndex) -> None:
        self.open = open_index

    def start(self, indexes: LiveIndexes, check_ready: Callable[[], None]) -> None:
        pass

    def wait(self, ready: Callable[[], bool], timeout_s: float | None) -> bool:
        return ready()

    def stop(self) -> None:
        pass


class AccessPoint:
    """A gallery on Milvus over one folder, which can stop as if it were killed."""

    def __init__(self, folder: Path, milvus: MilvusSettings, space: str = "tiny") -> None:
        self.store = Store(folder / "gallery.sqlite")
        self.collections = MilvusCollections(milvus, self.store)
        self.gallery = Gallery(
            self.store, tiny_bundle(space), 1, remote=Unattended(self.collections.open)
        )
        assert self.gallery.wait_ready(10)

    def enrol(self, *entries: tuple[str, np.ndarray]) -> list[int]:
        space = self.gallery.space_id
        return self.gallery.enrol([NewEntry(who, "c1", space, v) for who, v in entries])

    def ranked(self, query: np.ndarray, k: int = 5) -> list[tuple[int, str]]:
        [result] = self.gallery.search(FEATURES, query[None], k, k)
        owner = {e.id: e.subject for e in self.gallery.entries(0, 1000)}
        return [(int(n), owner[int(n)]) for n in result.entry_ids]

    def note_position(self) -> None:
        for index in self.gallery._indexes.live.values():
            assert index.maintain(self.store.log.position)

    def vanish(self) -> None:
        """Nothing of what a clean stop does to the collections. May be called twice."""
        self.gallery._background.close()
        self.collections.close()
        self.store.close()


class Serve(Protocol):
    def __call__(self, folder: str, space: str = "tiny", **milvus: object) -> AccessPoint: ...


@pytest.fixture
def serve(milvus: MilvusSettings, tmp_path: Path) -> Iterator[Serve]:
    """Starts access points over folders; those that still run at the end are stopped."""
    started: list[AccessPoint] = []

    def start(folder: str, space: str = "tiny", **changes: object) -> AccessPoint:
        point = AccessPoint(tmp_path / folder, milvus.model_copy(update=changes), space)
        started.append(point)
        return point

    yield start
    for point in started:
        point.vanish()


def rows_of(milvus: MilvusSettings) -> dict[int, str]:
    """Entry -> subject, as another process sees the one collection of a gallery."""
    server = MilvusServer(milvus)
    [(name, applied)] = AppliedTable(server).all().items()
    pages = Collection(server, name, applied.dim).rows()
    subjects = {row.id: row.subject for page in pages for row in page}
    server.close()
    return subjects


class Congruence(RuleBasedStateMachine):
    """The same calls on both galleries, the same answers from both."""

    milvus: MilvusSettings
    folders: Iterator[Path]

    @initialize()
    def begin(self) -> None:
        self.folder = next(type(self).folders)
        self.settings = self.milvus.model_copy(update={"prefix": next(prefixes)})
        self.point = AccessPoint(self.folder / "milvus", self.settings)
        self.exact_store = Store(self.folder / "exact" / "gallery.sqlite")
        self.exact = Gallery(self.exact_store, tiny_bundle(), 1)

    subjects = st.sampled_from(["ada", "ben", "cleo"])

    @rule(batch=st.lists(st.tuples(subjects, st.integers(0, 15)), min_size=1, max_size=6))
    def enrol(self, batch: list[tuple[str, int]]) -> None:
        entries = [NewEntry(who, "c1", "tiny", CORNERS[i]) for who, i in batch]
        assert self.point.gallery.enrol(entries) == self.exact.enrol(entries)

    @rule(who=subjects)
    def delete_subject(self, who: str) -> None:
        assert self.point.gallery.delete_subject(who) == self.exact.delete_subject(who)

    @rule(ids=st.lists(st.integers(1, 20), max_size=4))
    def delete_entries(self, ids: list[int]) -> None:
        assert self.point.gallery.delete_entries(ids) == self.exact.delete_entries(ids)

    @rule(source=subjects, into=subjects)
    def merge(self, source: str, into: str) -> None:
        if source == into or not (
            self.exact.subjects.get(source) and self.exact.subjects.get(into)
        ):
            return
        for gallery in (self.point.gallery, self.exact):
            gallery.merge_subjects(source, into)

    @rule()
    def restart(self) -> None:
        self.point.vanish()
        self.point = AccessPoint(self.folder / "milvus", self.settings)

    @rule()
    def note_position(self) -> None:
        self.point.note_position()

    @rule(i=st.integers(0, 15), top_k=st.integers(1, 4), top_entries=st.integers(0, 9))
    def search(self, i: int, top_k: int, top_entries: int) -> None:
        query = CORNERS[[i, 15 - i]]
        ours = self.point.gallery.search(FEATURES, query, top_k, top_entries)
        theirs = self.exact.search(FEATURES, query, top_k, top_entries)
        for got, expected in zip(ours, theirs, strict=True):
            assert got.matches == expected.matches
            assert got.entry_ids.tolist() == expected.entry_ids.tolist()
            assert got.scores.tolist() == expected.scores.tolist()

    @invariant()
    def rows_are_the_stores(self) -> None:
        if not hasattr(self, "point") or not self.point.gallery._indexes.live:
            return
        assert rows_of(self.settings) == {e.id: e.subject for e in self.exact.entries(0, 1000)}

    def teardown(self) -> None:
        if hasattr(self, "point"):
            self.point.vanish()
            self.exact.close()
            self.exact_store.close()


def test_the_same_calls_give_the_same_answers(milvus: MilvusSettings, tmp_path: Path) -> None:
    Congruence.milvus = milvus
    Congruence.folders = (tmp_path / str(i) for i in itertools.count())
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Congruence,
        settings=settings(
            max_examples=5,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def change_behind(folder: Path) -> None:
    """Changes to the store that were committed just before a kill: no index saw them."""
    store = Store(folder / "gallery.sqlite")
    store.delete_entries([1])
    store.merge_subjects("ben", "ada")
    store.add_entries([NewEntry("dora", "c1", "tiny", CORNERS[9])])
    store.close()


def test_the_log_is_replayed_from_the_position_that_was_noted(
    serve: Serve, milvus: MilvusSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = serve("ap")
    point.ranked(CORNERS[0])
    point.enrol(("ada", CORNERS[1]), ("ben", CORNERS[2]), ("cleo", CORNERS[4]))
    point.note_position()
    point.vanish()
    change_behind(tmp_path / "ap")

    def no_scan(self: Collection, batch: int = 0) -> Iterator[None]:
        raise AssertionError("looks at every row")

    with monkeypatch.context() as patch:
        patch.setattr(Collection, "rows", no_scan)
        point = serve("ap")
        assert point.ranked(CORNERS[9], 2) == [(4, "dora"), (2, "ada")]
    assert rows_of(milvus) == {2: "ada", 3: "cleo", 4: "dora"}


@pytest.mark.parametrize("loss", ["rows", "collection", "table", "log"])
def test_what_is_lost_at_either_end_is_put_right(
    serve: Serve, milvus: MilvusSettings, tmp_path: Path, loss: str
) -> None:
    point = serve("ap")
    point.ranked(CORNERS[0])
    point.enrol(("ada", CORNERS[1]), ("ben", CORNERS[2]), ("cleo", CORNERS[4]))
    point.note_position()
    point.vanish()
    change_behind(tmp_path / "ap")
    server = MilvusServer(milvus)
    table = AppliedTable(server)
    [name] = table.all()
    if loss == "rows":
        Collection(server, name, DIM).delete([2, 3])
    elif loss == "collection":
        Collection(server, name, DIM).drop()
    elif loss == "table":
        table.remove(name)
    else:
        store = Store(tmp_path / "ap" / "gallery.sqlite")
        store.log.set_consumed("another", store.log.position)
        store.close()
    server.close()
    point = serve("ap")
    assert point.ranked(CORNERS[9], 2) == [(4, "dora"), (2, "ada")]
    assert rows_of(milvus) == {2: "ada", 3: "cleo", 4: "dora"}


def test_rows_lost_while_serving_are_noticed(serve: Serve, milvus: MilvusSettings) -> None:
    point = serve("ap")
    point.enrol(("ada", CORNERS[1]), ("ben", CORNERS[2]))
    point.ranked(CORNERS[1])
    server = MilvusServer(milvus)
    [name] = AppliedTable(server).all()
    Collection(server, name, DIM).delete([1])
    server.close()
    with pytest.raises(NotReadyError, match="1 rows and should have 2"):
        point.note_position()
    with pytest.raises(NotReadyError, match="opened again"):
        point.ranked(CORNERS[1])
    point.enrol(("cleo", CORNERS[4]))
    assert point.ranked(CORNERS[1], 2) == [(1, "ada"), (2, "ben")]
    assert set(rows_of(milvus)) == {1, 2, 3}


def test_a_server_that_is_away_loses_nothing_and_answers_nothing_wrong(
    serve: Serve, own_server: LocalMilvus
) -> None:
    point = serve("ap", uri=own_server.uri, timeout_s=own_server.timeout_s)
    point.enrol(("ada", CORNERS[1]), ("ben", CORNERS[2]))
    assert point.ranked(CORNERS[1], 1) == [(1, "ada")]
    own_server.kill()
    with pytest.raises(NotReadyError, match="Milvus"):
        point.ranked(CORNERS[1])
    assert point.enrol(("cleo", CORNERS[4])) == [3]
    assert point.gallery.delete_subject("ada") == 1
    with pytest.raises(NotReadyError, match="Milvus"):
        point.ranked(CORNERS[1])
    own_server.start()
    ranked: list[tuple[int, str]] = []
    until = time.monotonic() + 300  # a whole server on a busy machine
    while not ranked and time.monotonic() < until:
        with contextlib.suppress(NotReadyError):
            ranked = point.ranked(CORNERS[4], 3)
        time.sleep(0.2)
    assert ranked == [(3, "cleo"), (2, "ben")]


def test_a_server_that_is_away_at_the_start(serve: Serve) -> None:
    point = serve("ap", uri=f"http://127.0.0.1:{free_port()}", timeout_s=0.5)
    with pytest.raises(NotReadyError, match="Milvus"):
        point.collections.claim()
    point.enrol(("ada", CORNERS[1]))
    with pytest.raises(NotReadyError, match="Milvus"):
        point.ranked(CORNERS[1])


def test_collections_of_another_gallery_are_left_alone(
    serve: Serve, milvus: MilvusSettings
) -> None:
    first = serve("first")
    first.enrol(("ada", CORNERS[1]))
    first.ranked(CORNERS[1])
    second = serve("second")
    with pytest.raises(InputError, match="another --milvus-prefix"):
        second.collections.claim()
    second.enrol(("ben", CORNERS[2]))
    with pytest.raises(NotReadyError, match="another gallery's"):
        second.ranked(CORNERS[2])
    assert rows_of(milvus) == {1: "ada"}
    first.collections.claim()


def test_a_second_writer_ends_the_first(serve: Serve, tmp_path: Path) -> None:
    first = serve("first")
    first.enrol(("ada", CORNERS[1]))
    first.ranked(CORNERS[1])
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    second = serve("copy")
    second.ranked(CORNERS[1])
    with pytest.raises(NotReadyError, match="another access point"):
        first.note_position()
    second.note_position()


def test_collections_that_nothing_keeps_up_are_dropped(
    serve: Serve, milvus: MilvusSettings
) -> None:
    server = MilvusServer(milvus)
    point = serve("ap", space="old")
    [entry] = point.enrol(("ada", CORNERS[1]))
    point.ranked(CORNERS[1])
    [old] = AppliedTable(server).all()
    point.gallery.delete_entries([entry])
    point.vanish()
    point = serve("ap", space="new")
    point.collections.drop_stale("new")
    assert not AppliedTable(server).all()
    point.enrol(("ben", CORNERS[2]))
    assert point.ranked(CORNERS[2], 1) == [(2, "ben")]
    [new] = AppliedTable(server).all()
    assert new != old
    assert not Collection(server, old, DIM).exists()
    server.close()


def test_a_merge_while_the_index_is_brought_up_reaches_its_rows(
    serve: Serve, milvus: MilvusSettings
) -> None:
    point = serve("ap")
    point.enrol(("ada", CORNERS[1]), ("ben", CORNERS[2]))
    point.ranked(CORNERS[1])
    before = point.store.log.position
    point.store.merge_subjects("ben", "ada")
    [index] = point.gallery._indexes.live.values()
    replay(index, point.store, "tiny", before, lambda features: features)
    assert rows_of(milvus) == {1: "ada", 2: "ada"}


def test_a_scheme_of_another_bundle_loses_its_collection(
    serve: Serve, milvus: MilvusSettings
) -> None:
    point = serve("ap")
    point.enrol(("ada", CORNERS[1]))
    spec = IndexSpec("jscc-fc-4", "tiny", "a" * 64, DIM, point.store.store_id, None)
    point.collections.open(spec)
    server = MilvusServer(milvus)
    [old] = AppliedTable(server).all()
    point.collections.open(replace(spec, scheme_id="jscc-fc-8"))
    assert len(AppliedTable(server).all()) == 2
    point.collections.open(replace(spec, scheme_digest="b" * 64))
    known = AppliedTable(server).all()
    assert sorted(applied.scheme_id for applied in known.values()) == ["jscc-fc-4", "jscc-fc-8"]
    assert old not in known
    assert not Collection(server, old, DIM).exists()
    server.close()
