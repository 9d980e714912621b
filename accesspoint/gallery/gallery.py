"""The gallery: a store, the indexes that follow it, and what an operator does to both."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from accesspoint.errors import StorageError
from accesspoint.gallery import records
from accesspoint.gallery.maintenance.background import BackgroundMaintenance
from accesspoint.gallery.maintenance.maintenance import Maintenance
from accesspoint.gallery.maintenance.scrub import Scrub
from accesspoint.gallery.records import Entry, NewEntry, SearchResult, Subject
from accesspoint.gallery.search.enough import IsEnough
from accesspoint.gallery.search.entry_search import EntrySearch
from accesspoint.gallery.search.index import Index, RemoteIndexes
from accesspoint.gallery.search.running_scores import RunningScores
from accesspoint.gallery.search.scheme_cache import SchemeCache
from accesspoint.gallery.search.scheme_indexes import SchemeIndexes
from accesspoint.gallery.search.segmented_index import SegmentedIndex
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store import feature_spaces
from accesspoint.gallery.store.loading import BackgroundLoading
from accesspoint.gallery.store.store import Added, Store
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.scheme import Scheme
from airreid.subject_ids import ID_MAX


class Gallery:
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
        remote: RemoteIndexes | None = None,
    ) -> None:
        """``remote``: the indexes live on a server; None: in this process. The store, and
        ``remote``, are the caller's to close after the gallery."""
        settings = settings or GallerySettings()
        self.store = store
        self.subjects = store.subjects
        self._bundle = bundle
        self._remote = remote
        self._lock = threading.RLock()
        """Held by whoever changes entries, until the indexes have followed."""
        # Others search a server's collections too, and by embeddings as the bundle says.
        self._schemes = SchemeCache(bundle, threads, compact=remote is None)
        self._indexes = SchemeIndexes(
            store,
            bundle,
            self._schemes,
            self._lock,
            remote.open if remote else lambda spec: SegmentedIndex(spec, settings),
            snapshots=settings.snapshots and remote is None,
            read_only=settings.read_only,
        )
        self._search = EntrySearch(self._indexes)
        self._background = BackgroundMaintenance(store, self._indexes, self._lock)
        store.quarantine.on_new(self._withdraw)
        store.subjects.on_change(self._clear_expired, self._read_expiry)
        self._loading = BackgroundLoading(store, self.space_id, settings.ready_wait_s, self._load)
        self.maintenance = Maintenance(
            self,
            self._search,
            self._loading,
            self._background,
            self._lock,
            Scrub(store, self._indexes, self._lock, self._readmit),
            provable=remote is None,
        )
        if remote:
            remote.start(self._indexes, self._loading.check_ready)

    def _load(self, set_owners_known: Callable[[], None]) -> None:
        """Checks the file, reads the owners of entries, then opens the indexes on disk."""
        self.store.database.check()
        with self._lock:
            self._search.load_owners(self.store, self.space_id)
        set_owners_known()
        self._indexes.open_snapshots()
        self._background.notify()

    def close(self) -> None:
        """Writes snapshots; the store stays open. No call may follow."""
        if self._remote:
            self._remote.stop()
        self._loading.wait()
        self._background.close()
        self._indexes.close()

    @property
    def writable(self) -> Gallery:
        """This gallery: it can be listed and changed, other than one that is only read."""
        return self

    @property
    def space_id(self) -> str:
        """Feature space of the bundle that is served."""
        return self._bundle.backbone.space_id

    @property
    def feature_dim(self) -> int:
        """Length of a raw feature."""
        return self._bundle.backbone.feature_dim

    @property
    def active_space(self) -> str:
        """Feature space whose entries are served."""
        return self._loading.active_space

    @property
    def needs_reindex(self) -> bool:
        """Whether the entries are of another space than the bundle's:
        see :meth:`accesspoint.gallery.maintenance.maintenance.Maintenance.reindex`."""
        return self._loading.needs_reindex

    @property
    def not_ready(self) -> str:
        """Reason that the gallery cannot be searched and changed as it should; empty if it can:
        it is loaded, of the bundle's space, on a disk with room, and complete for others who
        search its indexes."""
        problem = self._loading.problem or self.store.database.problem()
        return problem or ("" if self._remote is None else self._remote.problem)

    @property
    def ready(self) -> bool:
        """Whether there is nothing that :attr:`not_ready` names."""
        return not self.not_ready

    @property
    def load_failure(self) -> str:
        """Reason that the gallery could not be loaded, and never will be; empty otherwise."""
        return self._loading.failure

    def wait_ready(self, timeout_s: float | None = None) -> bool:
        """Waits until loaded, and until a server holds what it should. Returns whether the
        gallery is then ready."""
        self._loading.wait(timeout_s)
        if self._remote is None:
            return self.ready
        return not self.needs_reindex and self._remote.wait(lambda: self.ready, timeout_s)

    # Subjects

    def delete_subject(self, subject: str) -> int | None:
        """Deletes a subject. Returns the number of entries deleted with it, or None if there
        is no such subject."""
        self._loading.check_changeable()
        with self._lock:
            ids = self.store.delete_subject(subject)
            self._forget(ids or [])
            self._read_expiry(subject)
        return None if ids is None else len(ids)

    def merge_subjects(self, source: str, into: str) -> Subject:
        """Gives ``source``'s entries to ``into``, deletes ``source``, returns ``into``.

        Raises :class:`NotFoundError` if one is missing, :class:`InputError` if they are the
        same.
        """
        if source == into:
            raise InputError(f"subject {source[:ID_MAX]!r} cannot be merged into itself")
        self._loading.check_changeable()
        with self._lock:
            self._search.move(self.store.merge_subjects(source, into), into)
            self._read_expiry(source)
            return self.subjects.existing(into)

    def counts(self) -> tuple[int, int]:
        """Returns how many (subjects, entries) there are."""
        return self.store.counts()

    # Entries

    def check(self, entry: NewEntry) -> None:
        """Raises as :func:`accesspoint.gallery.records.check_entry` does."""
        records.check_entry(entry, self._bundle.backbone)

    def enrol(self, entries: Sequence[NewEntry], origins: Sequence[int] = ()) -> list[int]:
        """Stores entries as :meth:`add` does and returns their numbers."""
        return [entry.id for entry in self.add(entries, origins).entries]

    def add(self, entries: Sequence[NewEntry], origins: Sequence[int] = ()) -> Added:
        """Stores entries in one transaction, all or none.

        An entry with a client key takes the place of the subject's earlier one with it.
        ``origins``, one for each entry or none at all, are entries of another space that
        these were made from. Raises as :meth:`check` does, and :class:`NotFoundError` for an
        origin that is gone.
        """
        for entry in entries:
            self.check(entry)
        if not entries:
            return Added([], [], frozenset())
        self._loading.check_changeable()
        for subject in {entry.subject for entry in entries}:
            self._clear_expired(subject)
        features = np.stack([entry.feature for entry in entries]).astype(np.float32)
        embeddings = self._indexes.embed_for_all(features)
        with self._lock:
            embeddings = self._indexes.embed_for_all(features, embeddings)
            added = self.store.add_entries(entries, origins)
            stored = added.entries
            self._forget(added.replaced)
            superseded = set(added.replaced)  # by a later one of this very batch, too
            places = [i for i, entry in enumerate(stored) if entry.id not in superseded]
            self._search.add(
                [stored[i] for i in places],
                [_digest(entries[i]) for i in places],
                {name: rows[places] for name, rows in embeddings.items()},
            )
        self._background.notify(deleted=bool(added.replaced))
        return added

    def entry(self, entry_id: int) -> Entry | None:
        """Returns an entry by its number, or None."""
        return self.store.entry(entry_id) if 0 < entry_id < 2**63 else None

    def entries(self, after: int, limit: int, subject: str = "", camera: str = "") -> list[Entry]:
        """Returns up to ``limit`` entries with numbers above ``after``; an empty filter takes
        all."""
        return self.store.entries(after, limit, subject, camera)

    def thumbnail(self, entry_id: int) -> bytes | None:
        """Returns the encoded image kept with an entry, or None."""
        return self.store.thumbnail(entry_id) if 0 < entry_id < 2**63 else None

    def delete_entries(self, ids: Sequence[int]) -> list[bool]:
        """Deletes entries in one transaction. Returns for each whether it was there."""
        self._loading.check_changeable()
        inside = [number if 0 < number < 2**63 else 0 for number in ids]
        with self._lock:
            if self.needs_reindex:
                inside += feature_spaces.made_from(self.store.database, inside)
            existed = self.store.delete_entries(inside)
            self._forget([number for number, was in zip(inside, existed, strict=True) if was])
        return existed[: len(ids)]

    def delete_entry(self, entry_id: int) -> bool:
        """Deletes an entry. Returns whether it was there."""
        return self.delete_entries([entry_id])[0]

    def _forget(self, ids: Sequence[int]) -> None:
        if ids:
            self._search.forget(ids)
            self._background.notify(deleted=True)

    def _clear_expired(self, subject: str) -> None:
        """Deletes what has expired now if this subject is among it: whoever comes next under
        its name is somebody new."""
        if self._search.has_expired(subject) and not self.store.database.read_only:
            self.maintenance.expire_due(time.time())

    def _read_expiry(self, subject: str) -> None:
        self._search.read_expiry(self.store, subject)

    def _withdraw(self, damaged: Sequence[int]) -> None:
        """Takes entries out of every answer whose stored feature was found altered."""
        with self._lock:
            self._search.forget(damaged)

    def _readmit(self, ids: Sequence[int]) -> None:
        """Serves entries again whose stored feature is whole after all."""
        with self._lock:
            stored = [entry for number in ids if (entry := self.store.entry(number))]
            self._search.readmit([e for e in stored if e.space_id == self.space_id])
        for name in self._indexes.live:
            self._indexes.make_anew(name)

    def entries_elsewhere(self) -> int:
        """Returns the number of entries of other feature spaces than the bundle's."""
        spaces = self.store.spaces()
        return sum(spaces.values()) - spaces.get(self.space_id, 0)

    # Settings

    def setting(self, key: str) -> str | None:
        """Returns a small JSON document kept with the gallery, or None."""
        return self.store.settings.get(key)

    def set_setting(self, key: str, text: str) -> None:
        """Stores a document in place of the one before."""
        self.store.settings.set(key, text)

    # Searching

    @property
    def deletions(self) -> int:
        """Times that entries or their subjects went since the start; answers from before a
        change of it may name somebody who is gone."""
        return self._search.deletions

    def scheme(self, scheme_id: str) -> Scheme:
        """Returns a scheme at work; its embeddings are as :meth:`search` takes them. Raises
        :class:`airreid.errors.BundleError` if unknown."""
        return self._schemes.scheme(scheme_id)

    def search(
        self, scheme_id: str, embeddings: NDArray[np.float32], top_k: int, top_entries: int
    ) -> list[SearchResult]:
        """Returns for each embedding (n, dim) the best subjects and the best entries.

        Embeddings are as :meth:`scheme` gives them; ``scheme_id`` ``features`` searches among
        the raw features, by cosine. Raises :class:`NotReadyError`, and
        :class:`airreid.errors.BundleError` for a scheme that is not there.
        """
        self._check_searchable()
        return self._search.search(scheme_id, embeddings, top_k, top_entries)

    def continue_search(
        self,
        scheme_id: str,
        embeddings: NDArray[np.float32],
        running: Sequence[RunningScores],
        top_k: int,
        top_entries: int,
        is_enough: IsEnough,
    ) -> list[SearchResult | None]:
        """Searches as :meth:`search` does, for blocks of which another piece came; None for those
        that are not enough."""
        self._check_searchable()
        return self._search.continue_search(
            scheme_id, embeddings, running, top_k, top_entries, is_enough
        )

    def nearest_of(
        self,
        scheme_id: str,
        embedding: NDArray[np.float32],
        ids: NDArray[np.int64],
        count: int,
    ) -> NDArray[np.int64]:
        """Returns those ``count`` of some entries, ids ascending, that are nearest to an
        embedding (dim,), as far as an index in this process tells; else all of them."""
        if self._remote is not None or not self._loading.ready:
            return ids
        return self._search.nearest_of(scheme_id, embedding, ids, count)

    @property
    def is_remote(self) -> bool:
        """Whether the indexes are on a server, without which entries are stored all the same."""
        return self._remote is not None

    def is_local(self, scheme_id: str) -> bool:
        """Tells whether the index of a scheme is open in this process."""
        return self._loading.ready and self._remote is None and self._indexes.is_open(scheme_id)

    def open_index(self, scheme_id: str) -> None:
        """Opens the index of a scheme, which its first search does otherwise. Raises as
        :meth:`search` does."""
        self.index(scheme_id)

    def index(self, scheme_id: str) -> Index:
        """Returns the index that :meth:`search` uses, for those who measure it."""
        self._check_searchable()
        return self._indexes.get(scheme_id)

    def _check_searchable(self) -> None:
        """Raises :class:`NotReadyError` for a gallery that is not loaded, or whose files are
        others than those that were opened."""
        self._loading.check_ready()
        if self.store.database.problem() and (problem := self.store.database.files_problem()):
            raise StorageError(problem)


def _digest(entry: NewEntry) -> int:
    return records.digest(entry.feature.astype("<f4").tobytes())
