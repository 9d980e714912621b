"""The reading side of a gallery on Milvus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from accesspoint.errors import ConflictError, NotReadyError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.maintenance.archive_writer import OnConflict
from accesspoint.gallery.maintenance.reindex import Tick
from accesspoint.gallery.milvus.applied_table import Applied, AppliedTable
from accesspoint.gallery.milvus.client import MilvusServer, MilvusSettings
from accesspoint.gallery.milvus.collection import (
    TOP_MAX,
    Collection,
    Hit,
    collection_name,
)
from accesspoint.gallery.milvus.periodic import Rounds
from accesspoint.gallery.records import UNSET, Entry, Found, Match, NewEntry, Subject, Unset
from accesspoint.gallery.search.reconcile import scheme_digest
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle
from airreid.errors import InputError

SHARED = ("match_policy",)
"""Settings that readers take from the writing access point."""


class ReadingGallery(Gallery):
    """Searches the collections that another access point writes, and changes nothing.

    Its own store holds settings and no entries; the policy for matches is the writing
    access point's. It sees every
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
        self._shared: dict[str, str] = {}
        super().__init__(store, bundle, threads, settings)
        self._rounds = Rounds("milvus_reader", self._look)
        self._rounds.start()

    def _look(self) -> None:
        if self._server is None:
            self._server = MilvusServer(self._milvus_settings)
        table = AppliedTable(self._server)
        self._known = table.all()
        self._shared = {key: text for key in SHARED if (text := table.setting(key)) is not None}
        ours = [a for a in self._known.values() if a.space_id == self.space_id]
        if filling := [applied.scheme_id for applied in ours if not applied.complete]:
            raise NotReadyError(f"the collection of {filling[0]} is being filled")
        if not ours:
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
        """As the writing access point last said, up to a minute ago."""
        last = max(self._known.values(), key=lambda applied: applied.position, default=None)
        return (0, 0) if last is None else (last.subjects, last.entries)

    def setting(self, key: str) -> str | None:
        """The writing access point's, as of a second ago, where it is shared."""
        return self._shared.get(key) if key in SHARED else super().setting(key)

    def set_setting(self, key: str, text: str) -> None:
        if key in SHARED:
            _elsewhere()
        super().set_setting(key, text)

    def entries_elsewhere(self) -> int:
        """None: the writing access point knows of no others."""
        return 0

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
        if not self._known[name].complete:
            raise NotReadyError(f"the collection of {scheme_id} is being filled")
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

    def entry(self, entry_id: int) -> Entry | None:
        _elsewhere()

    def entries(self, after: int, limit: int, subject: str = "", camera: str = "") -> list[Entry]:
        _elsewhere()

    def thumbnail(self, entry_id: int) -> bytes | None:
        _elsewhere()

    def delete_entries(self, ids: Sequence[int]) -> list[bool]:
        _elsewhere()

    def delete_provably(self, ids: Sequence[int]) -> NoReturn:
        _elsewhere()

    def prove_deleted(self, ids: Sequence[int], pieces: Sequence[bytes] = ()) -> NoReturn:
        _elsewhere()  # its own files hold no entry, which would prove nothing

    def backup(self, path: Path) -> None:
        _elsewhere()

    def export_archive(self, path: Path, tick: Tick = lambda done, total: None) -> NoReturn:
        _elsewhere()

    def import_archive(
        self,
        path: Path,
        on_conflict: OnConflict = "skip",
        tick: Tick = lambda done, total: None,
    ) -> NoReturn:
        _elsewhere()


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
