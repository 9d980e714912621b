"""Enrolling, deleting and searching: the store, and the indexes that follow it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from accesspoint.errors import WrongSpaceError
from accesspoint.gallery import records
from accesspoint.gallery.loading import Loading
from accesspoint.gallery.maintenance.background import Keeper
from accesspoint.gallery.records import Entry, Found, NewEntry, Subject
from accesspoint.gallery.search.entry_owners import Catalog
from accesspoint.gallery.search.index import Index, OpenIndex
from accesspoint.gallery.search.scheme_indexes import Indexes
from accesspoint.gallery.search.segmented_index import SegmentedIndex
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store import feature_spaces
from accesspoint.gallery.store.store import Store
from accesspoint.gallery.store.subject_store import Subjects
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.scheme import Scheme
from airreid.wire import check_magnitude

_PAGE = 10_000


class CoreGallery(Subjects):
    """Enrols, deletes and searches; safe in any thread.

    The store is written first and the indexes follow, so that whatever has been
    acknowledged is on disk, and a search that begins after an acknowledgement sees the
    change. An index is made when its scheme is first used, from the raw features that
    the store keeps. A search waits for no writer.

    It is loaded in the background: :attr:`ready` is False until then, and for as long as
    the entries are of another feature space than the bundle's.
    """

    def __init__(
        self,
        store: Store,
        bundle: Bundle,
        threads: int,
        settings: GallerySettings | None = None,
        open_index: OpenIndex | None = None,
    ) -> None:
        super().__init__(store)
        self.deletions = 0
        """Times that entries or their subjects went since the start: what was found before may
        name somebody who is gone."""
        self._bundle = bundle
        self._settings = settings or GallerySettings()
        self._indexes = Indexes(
            store,
            bundle,
            threads,
            self._lock,
            open_index or (lambda spec: SegmentedIndex(spec, self._settings)),
            keep=self._settings.snapshots and open_index is None,
            compact=open_index is None,  # a server's collections have other readers
        )
        self._catalog = Catalog()
        self._keeper = Keeper(store, self._indexes, self._lock)
        self._loading = Loading(store, self.space_id, self._settings, self._load)

    def _load(self, known: Callable[[], None]) -> None:
        """In the background: whether the file is whole, whose each entry is, then the
        indexes that there were."""
        self._store.check()
        with self._lock:
            after = 0
            while rows := self._store.owners(self.space_id, after, _PAGE):
                for number, subject, camera, _ in rows:
                    self._catalog.put(number, subject, camera)
                after = rows[-1][0]
        known()
        self._indexes.bring_up_kept()
        self._keeper.changed()

    @property
    def active_space(self) -> str:
        """The feature space whose entries are served."""
        return self._loading.active_space

    @property
    def needs_reindex(self) -> bool:
        """The entries are of another space than the bundle's: see :meth:`reindex`."""
        return self._loading.needs_reindex

    @property
    def ready(self) -> bool:
        """Loaded, and of the bundle's space."""
        return self._loading.ready

    def wait_ready(self, timeout_s: float | None = None) -> bool:
        """Waits until loaded; whether the gallery is then ready."""
        return self._loading.wait(timeout_s)

    @property
    def space_id(self) -> str:
        """The feature space of the bundle that is served."""
        return self._bundle.backbone.space_id

    @property
    def store(self) -> Store:
        return self._store

    def scheme(self, scheme_id: str) -> Scheme:
        """A scheme at work; its embeddings are as :meth:`search` takes them. Raises
        :class:`airreid.errors.BundleError` if unknown."""
        return self._indexes.scheme(scheme_id)

    def delete_subject(self, subject: str) -> int | None:
        """Number of entries deleted with the subject, or None if there is none."""
        self._loading.check_known()
        with self._lock:
            ids = self._store.delete_subject(subject)
            self._forget(ids or [])
        return None if ids is None else len(ids)

    def merge_subjects(self, source: str, into: str) -> Subject:
        """Gives ``source``'s entries to ``into``, deletes ``source``, returns ``into``.

        Raises :class:`NotFoundError` if one is missing, :class:`InputError` if they are one.
        """
        if source == into:
            raise InputError(f"subject {source[:128]!r} cannot be merged into itself")
        self._loading.check_known()
        with self._lock:
            ids = self._store.merge_subjects(source, into)
            self._catalog.move(ids, into)
            self._indexes.moved(np.asarray(ids, dtype=np.int64))
            self.deletions += 1
            return self._existing(into)

    # Entries

    def check(self, entry: NewEntry) -> None:
        """Raises :class:`InputError` for an entry that cannot be enrolled: a bad name, a
        feature of another space (:class:`WrongSpaceError`) or length, one that is not
        finite or is all zeros."""
        dim = self._bundle.backbone.feature_dim
        records.check_about(entry)
        if entry.space_id != self.space_id:
            raise WrongSpaceError(
                f"feature of space {entry.space_id[:64]!r}; this gallery holds "
                f"{self.space_id!r}: encode it with the bundle that is served"
            )
        if entry.feature.shape != (dim,):
            raise InputError(f"feature of {entry.subject}: needs {dim} values")
        check_magnitude(entry.feature, f"feature of {entry.subject}")
        if not entry.feature.any():
            raise InputError(f"feature of {entry.subject}: all zeros, it names nobody")

    def enrol(self, entries: Sequence[NewEntry]) -> list[int]:
        """Stores entries in one transaction, all or none, and returns their numbers.

        An entry with a client key takes the place of the subject's earlier one with it.
        Raises as :meth:`check` does.
        """
        return self._enrol(entries, ())

    def _enrol(self, entries: Sequence[NewEntry], origins: Sequence[int]) -> list[int]:
        for entry in entries:
            self.check(entry)
        if not entries:
            return []
        self._loading.check_known()
        features = np.stack([entry.feature for entry in entries]).astype(np.float32)
        embeddings = self._indexes.embed_for_all(features)
        with self._lock:
            embeddings = self._indexes.embed_for_all(features, embeddings)
            stored, replaced = self._store.add_entries(entries, origins)
            self._forget(replaced)
            gone = set(replaced)  # by a later one of this very batch
            kept = [i for i, entry in enumerate(stored) if entry.id not in gone]
            for i in kept:
                self._catalog.put(stored[i].id, stored[i].subject, stored[i].camera)
            self._indexes.add(
                np.asarray([stored[i].id for i in kept], dtype=np.int64),
                np.asarray([_digest(entries[i]) for i in kept], dtype=np.int64),
                {name: rows[kept] for name, rows in embeddings.items()},
            )
        self._keeper.changed(deleted=bool(replaced))
        return [entry.id for entry in stored]

    def entry(self, entry_id: int) -> Entry | None:
        return self._store.entry(entry_id) if 0 < entry_id < 2**63 else None

    def entries(self, after: int, limit: int, subject: str = "", camera: str = "") -> list[Entry]:
        """Up to ``limit`` entries with numbers above ``after``; an empty filter takes all."""
        return self._store.entries(after, limit, subject, camera)

    def thumbnail(self, entry_id: int) -> bytes | None:
        return self._store.thumbnail(entry_id) if 0 < entry_id < 2**63 else None

    def delete_entries(self, ids: Sequence[int]) -> list[bool]:
        """Deletes entries in one transaction; for each whether it was there."""
        self._loading.check_known()
        inside = [number if 0 < number < 2**63 else 0 for number in ids]
        with self._lock:
            if self.needs_reindex:
                inside += feature_spaces.made_from(self._store, inside)
            gone = self._store.delete_entries(inside)
            self._forget([n for n, was_there in zip(inside, gone, strict=True) if was_there])
        return gone[: len(ids)]

    def delete_entry(self, entry_id: int) -> bool:
        return self.delete_entries([entry_id])[0]

    def expire_due(self, now: float) -> tuple[list[int], list[str]]:
        """Deletes what expired at or before ``now``: numbers of entries, ids of subjects."""
        self._loading.check_known()
        with self._lock:
            entries, subjects = self._store.delete_expired(now)
            self._forget(entries)
        return entries, subjects

    def _forget(self, ids: Sequence[int]) -> None:
        if ids:
            self._indexes.remove(np.asarray(ids, dtype=np.int64))
            self._catalog.drop(ids)
            self._keeper.changed(deleted=True)
            self.deletions += 1  # last: who sees the old number may have found what is gone

    # Searching

    def search(
        self, scheme_id: str, embeddings: NDArray[np.float32], top_k: int, top_entries: int
    ) -> list[Found]:
        """For each embedding (n, dim): the best subjects and the best entries.

        Embeddings are as :meth:`scheme` gives them; ``scheme_id`` ``features`` searches among
        the raw features, by cosine. Raises :class:`NotReadyError`, and
        :class:`airreid.errors.BundleError` for a scheme that is not there.
        """
        self._loading.check_ready()
        index = self._indexes.get(scheme_id)
        wanted = min(top_k, self._catalog.subjects)
        depth = max(top_entries, 4 * top_k)
        while True:
            scores, ids = index.search(embeddings, depth)
            found = [
                self._catalog.found(row_scores, row_ids, top_k, top_entries)
                for row_scores, row_ids in zip(scores, ids, strict=True)
            ]
            if depth >= len(index) or all(len(f.matches) >= wanted for f in found):
                return found
            depth *= 4

    def is_local(self, scheme_id: str) -> bool:
        """Whether the index of a scheme is open in this process."""
        return self.ready and self._indexes.is_local(scheme_id)

    def open_index(self, scheme_id: str) -> None:
        """Makes the index of a scheme if there is none: when it is first searched otherwise,
        or again after a failure. Raises as :meth:`search` does."""
        self.index(scheme_id)

    def index(self, scheme_id: str) -> Index:
        """The index that :meth:`search` uses, for those who measure it."""
        self._loading.check_ready()
        return self._indexes.get(scheme_id)

    def entries_elsewhere(self) -> int:
        """Number of entries of other feature spaces than the bundle's."""
        spaces = self._store.spaces()
        return sum(spaces.values()) - spaces.get(self.space_id, 0)

    @property
    def log_position(self) -> int:
        """Number of the last change that was applied."""
        return self._store.log_position

    def close(self) -> None:
        """Writes snapshots; the store stays open. No call may follow."""
        self._loading.wait()
        self._keeper.close()
        self._indexes.close()


def _digest(entry: NewEntry) -> int:
    return records.digest(entry.feature.astype("<f4").tobytes())
