"""Galleries on Milvus: one access point writes, any number of others read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from accesspoint.errors import ConflictError, NotReadyError
from accesspoint.gallery.catchup import FEATURES, scheme_digest
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.milvus_client import MilvusServer, MilvusSettings
from accesspoint.gallery.milvus_collection import (
    TOP_MAX,
    Applied,
    AppliedTable,
    Collection,
    Hit,
    collection_name,
)
from accesspoint.gallery.milvus_index import MilvusIndex
from accesspoint.gallery.milvus_writer import MilvusIndexes
from accesspoint.gallery.records import UNSET, Entry, Found, Match, NewEntry, Subject, Unset
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store import Store
from airreid import log
from airreid.bundle import Bundle
from airreid.errors import AirReidError, InputError

_ROUND_S = 1.0


class Rounds:
    """Does something every second until closed, and knows why it last failed."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._work = work
        self._name = name
        self._stop = threading.Event()
        self.failure: str = "not asked yet"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def wait(self, ready: Callable[[], bool], timeout_s: float | None) -> bool:
        """Waits until something is so, or closed; whether it is so."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not ready() and (end is None or time.monotonic() < end):
            if self._stop.wait(0.1):
                break
        return ready()

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while True:
            self.now()
            if self._stop.wait(_ROUND_S):
                return

    def now(self) -> None:
        try:
            self._work()
        except Exception as error:
            failure = str(error) if isinstance(error, AirReidError) else type(error).__name__
            if failure != self.failure and not self._stop.is_set():
                log.warning(self._name, error=failure)
            self.failure = failure
        else:
            self.failure = ""

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


class WritingGallery(Gallery):
    """The gallery whose store is the truth; it keeps the collections equal to it.

    Enrolling and deleting go on while Milvus is away; searching does not. A collection
    that fell behind is brought up to date as soon as the server answers again.
    """

    def __init__(
        self,
        store: Store,
        bundle: Bundle,
        threads: int,
        settings: GallerySettings,
        milvus: MilvusSettings,
    ) -> None:
        """Raises :class:`InputError` for a scheme that the bundle does not have, a token
        that is refused, and collections of another gallery."""
        self._kept = milvus.schemes or (FEATURES, *bundle.scheme_ids)
        for scheme_id in self._kept:
            if scheme_id != FEATURES:
                bundle.scheme(scheme_id)
        self._milvus = MilvusIndexes(milvus, store)
        try:
            self._milvus.claim()
        except NotReadyError as error:
            log.warning("milvus_away", error=str(error))
        except InputError:
            self._milvus.close()
            raise
        super().__init__(store, bundle, threads, settings, self._milvus)
        self._upkeep = Rounds("milvus_writer", self._keep)
        self._upkeep.start()

    def _keep(self) -> None:
        """Readers search what this process does not: every kept scheme stays open."""
        self._loading.check_ready()
        self._milvus.claim()
        for scheme_id, index in self._indexes.live.items():
            if isinstance(index, MilvusIndex) and index.closed:
                self._indexes.drop(scheme_id)
        for scheme_id in self._kept:
            self.open_index(scheme_id)

    @property
    def ready(self) -> bool:
        live = self._indexes.live
        return (
            super().ready
            and not self._upkeep.failure
            and all(scheme_id in live for scheme_id in self._kept)
        )

    def prove_deleted(self, ids: Sequence[int], pieces: Sequence[bytes] = ()) -> NoReturn:
        """Raises :class:`ConflictError`: nobody can look into a server's files from here."""
        raise ConflictError(
            "what Milvus keeps on its disks cannot be searched, so nothing can be proved: "
            "entries that are deleted in the usual way are out of every answer at once"
        )

    def delete_provably(self, ids: Sequence[int]) -> NoReturn:
        """Deletes nothing; raises as :meth:`prove_deleted` does."""
        self.prove_deleted(ids)

    def wait_ready(self, timeout_s: float | None = None) -> bool:
        """Waits until Milvus holds what it should as well."""
        super().wait_ready(timeout_s)
        return not self.needs_reindex and self._upkeep.wait(lambda: self.ready, timeout_s)

    def close(self) -> None:
        self._upkeep.close()
        super().close()
        self._milvus.close()


class ReadingGallery(Gallery):
    """Searches the collections that another access point writes, and changes nothing.

    Its own store holds settings (the policy for matches) and no entries. It sees every
    change that the writing access point has acknowledged while Milvus answered it.
    """

    def __init__(
        self,
        store: Store,
        bundle: Bundle,
        threads: int,
        settings: GallerySettings,
        milvus: MilvusSettings,
    ) -> None:
        """Raises :class:`InputError` for a store with entries of its own."""
        if store.counts() != (0, 0):
            raise InputError(
                f"{store.path}: holds entries of its own, which a reader of a shared gallery "
                "would never search; give it another --data-dir"
            )
        self._milvus_settings = milvus
        self._server: MilvusServer | None = None
        self._known: dict[str, Applied] = {}
        super().__init__(store, bundle, threads, settings)
        self._rounds = Rounds("milvus_reader", self._look)
        self._rounds.start()

    def _look(self) -> None:
        if self._server is None:
            self._server = MilvusServer(self._milvus_settings)
        self._known = AppliedTable(self._server).all()
        if not any(applied.space_id == self.space_id for applied in self._known.values()):
            raise NotReadyError(
                f"no collection {self._milvus_settings.prefix}_* of the feature space "
                f"{self.space_id} on {self._milvus_settings.uri}: is the writing access point "
                "up, with the same bundle?"
            )

    @property
    def ready(self) -> bool:
        return super().ready and not self._rounds.failure

    def wait_ready(self, timeout_s: float | None = None) -> bool:
        """Waits until there is a collection to read as well."""
        super().wait_ready(timeout_s)
        return self._rounds.wait(lambda: self.ready, timeout_s)

    def counts(self) -> tuple[int, int]:
        """As the writing access point last said."""
        last = max(self._known.values(), key=lambda applied: applied.position, default=None)
        return (0, 0) if last is None else (last.subjects, last.entries)

    def search(
        self, scheme_id: str, embeddings: NDArray[np.float32], top_k: int, top_entries: int
    ) -> list[Found]:
        collection = self._collection(scheme_id)
        depth = max(top_entries, 4 * top_k)
        while True:
            answer = collection.search(embeddings, depth)
            found = [_found(hits, top_k, top_entries) for hits in answer]
            if depth >= TOP_MAX or all(
                len(hits) < depth or len(one.matches) == top_k
                for hits, one in zip(answer, found, strict=True)
            ):
                return found
            depth *= 4

    def _collection(self, scheme_id: str) -> Collection:
        content = scheme_digest(self._bundle, scheme_id)
        name = collection_name(self._milvus_settings.prefix, scheme_id, self.space_id, content)
        if name not in self._known:
            self._rounds.now()
        if self._server is None or name not in self._known:
            raise NotReadyError(
                self._rounds.failure
                or f"the writing access point keeps no collection of {scheme_id} as it is in "
                "this bundle"
            )
        return Collection(self._server, name, self._known[name].dim)

    def close(self) -> None:
        self._rounds.close()
        super().close()
        if self._server is not None:
            self._server.close()

    # What only the writing access point does

    def put_subject(
        self,
        subject: str,
        display_name: str | None = None,
        note: str | None = None,
        expires_at: float | None = None,
    ) -> tuple[Subject, bool]:
        _elsewhere()

    def patch_subject(
        self,
        subject: str,
        *,
        display_name: str | Unset = UNSET,
        note: str | Unset = UNSET,
        expires_at: float | Unset | None = UNSET,
    ) -> Subject:
        _elsewhere()

    def subject(self, subject: str) -> Subject | None:
        _elsewhere()

    def subjects(self, after: str, limit: int, prefix: str = "") -> list[Subject]:
        _elsewhere()

    def delete_subject(self, subject: str) -> int | None:
        _elsewhere()

    def merge_subjects(self, source: str, into: str) -> Subject:
        _elsewhere()

    def _enrol(self, entries: Sequence[NewEntry], origins: Sequence[int]) -> list[int]:
        _elsewhere()

    def entries(self, after: int, limit: int, subject: str = "", camera: str = "") -> list[Entry]:
        _elsewhere()

    def thumbnail(self, entry_id: int) -> bytes | None:
        _elsewhere()

    def delete_entries(self, ids: Sequence[int]) -> list[bool]:
        _elsewhere()

    def delete_provably(self, ids: Sequence[int]) -> NoReturn:
        _elsewhere()


def open_gallery(
    store: Store,
    bundle: Bundle,
    threads: int,
    settings: GallerySettings,
    milvus: MilvusSettings | None,
) -> Gallery:
    """The gallery with its own index, or on Milvus in the role that the settings say."""
    if milvus is None:
        return Gallery(store, bundle, threads, settings)
    kind = WritingGallery if milvus.role == "writer" else ReadingGallery
    return kind(store, bundle, threads, settings, milvus)


def _elsewhere() -> NoReturn:
    raise ConflictError(
        "this access point reads a shared gallery: list, enrol and delete at the one that writes it"
    )


def _found(hits: Sequence[Hit], top_k: int, top_entries: int) -> Found:
    """Ranked rows as ranked subjects and entries."""
    matches: dict[str, Match] = {}
    for hit in hits:
        if len(matches) < top_k and hit.subject not in matches:
            matches[hit.subject] = Match(hit.subject, hit.score, hit.id, hit.camera)
    best = hits[:top_entries]
    return Found(
        list(matches.values()),
        np.asarray([hit.id for hit in best], dtype=np.int64),
        np.asarray([hit.score for hit in best], dtype=np.float32),
    )
