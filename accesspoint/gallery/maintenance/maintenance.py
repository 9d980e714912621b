"""Work that an operator has done on a gallery as a whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from accesspoint.errors import ConflictError, NotFoundError
from accesspoint.gallery.maintenance import backup, deletion_proof
from accesspoint.gallery.maintenance.archive_format import Counts, OnConflict, Tick
from accesspoint.gallery.maintenance.archive_reader import read_archive
from accesspoint.gallery.maintenance.archive_writer import write_archive
from accesspoint.gallery.maintenance.background import BackgroundMaintenance
from accesspoint.gallery.maintenance.reindex import Encode, ReindexReport, encode_all
from accesspoint.gallery.maintenance.scrub import Pause, Scrub, ScrubReport
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.search.entry_search import EntrySearch
from accesspoint.gallery.store import feature_spaces
from accesspoint.gallery.store.loading import BackgroundLoading
from accesspoint.gallery.store.store import Store

_REPORTED = 100
"""Most subjects that a report names."""


class MaintainedGallery(Protocol):
    """The gallery, as far as its maintenance needs it."""

    store: Store

    @property
    def space_id(self) -> str: ...

    @property
    def feature_dim(self) -> int: ...

    def enrol(self, entries: Sequence[NewEntry], origins: Sequence[int] = ()) -> list[int]: ...

    def delete_entries(self, ids: Sequence[int]) -> list[bool]: ...


class Maintenance:
    """Backup, archives, a change of model, expiry, and proof that deleted entries are gone;
    safe in any thread, beside everything else that the gallery does."""

    def __init__(
        self,
        gallery: MaintainedGallery,
        search: EntrySearch,
        loading: BackgroundLoading,
        background: BackgroundMaintenance,
        lock: threading.RLock,
        scrub: Scrub,
        provable: bool,
    ) -> None:
        """``lock`` is the gallery's. ``provable``: the indexes' files can be searched from
        here."""
        self._gallery = gallery
        self._store = gallery.store
        self._search = search
        self._loading = loading
        self._background = background
        self._lock = lock
        self._scrub = scrub
        self._on_expired: Callable[[list[int], list[str]], None] = lambda entries, subjects: None
        self._provable = provable

    def run_now(self) -> None:
        """Merges, and writes the snapshots that are due, as the background does after
        changes."""
        self._loading.wait()
        self._background.run_now()

    def scrub(
        self, tick: Tick = lambda done, total: None, pause: Pause = lambda: None
    ) -> ScrubReport:
        """Reads and compares everything: the file, each stored feature with its digest, indexes
        with the store, snapshots with what was written. Damaged entries go into the quarantine,
        indexes that differ are made anew. ``pause`` is called after each piece of the work."""
        self._loading.wait()
        return self._scrub.run(self._gallery.space_id, tick, pause)

    # Deletion

    def expire_due(self, now: float) -> tuple[list[int], list[str]]:
        """Deletes whatever expired at or before ``now``. Returns numbers of entries and ids of
        subjects."""
        self._loading.check_changeable()
        with self._lock:
            entries, subjects = self._store.delete_expired(now)
            self._search.forget(entries)
            for subject in subjects:
                self._search.read_expiry(self._store, subject)
        if entries:
            self._background.notify(deleted=True)
        if entries or subjects:
            self._on_expired(entries, subjects)
        return entries, subjects

    def on_expired(self, listener: Callable[[list[int], list[str]], None]) -> None:
        """Calls ``listener`` with what :meth:`expire_due` has deleted, whoever called it."""
        self._on_expired = listener

    def prove_deleted(
        self, ids: Sequence[int], pieces: Sequence[bytes] = ()
    ) -> deletion_proof.DeletionReport:
        """Takes deleted entries out of indexes and snapshots now rather than soon, gives
        the file's free pages back, and looks for the entries, and for these pieces of
        bytes, everywhere.

        Raises :class:`ConflictError` for a gallery whose indexes are on a server.
        """
        self._check_provable()
        self._loading.wait()
        indexes = self._search.indexes.live
        for index in indexes.values():
            index.purge(np.asarray(ids, dtype=np.int64))
        self._store.database.give_back_free_pages()
        return deletion_proof.search(self._store, indexes, ids, pieces)

    def delete_provably(self, ids: Sequence[int]) -> deletion_proof.DeletionReport:
        """Deletes entries and then searches every file for pieces of their bytes.

        Raises :class:`NotFoundError` for an entry that is not there: the bytes of one that is
        gone are not known any more. Raises as :meth:`prove_deleted` does.
        """
        self._check_provable()
        self._loading.wait()
        thumbnails = [data for n in ids if (data := self._store.thumbnail(n)) is not None]
        rows = self._store.stored_features.as_stored(ids)  # of damaged ones, too
        missing = set(ids) - {number for number, _, _ in rows}
        if missing:
            raise NotFoundError(f"no entry {min(missing)}")
        whole = self._store.features(ids).features
        embeddings = self._search.indexes.embed_for_all(whole).values() if len(whole) else ()
        features = [data for _, _, data in rows if data is not None]
        pieces = deletion_proof.needles(features, embeddings, thumbnails)
        self._gallery.delete_entries(ids)
        return self.prove_deleted(ids, pieces)

    def _check_provable(self) -> None:
        if not self._provable:
            raise ConflictError(
                "what Milvus keeps on its disks cannot be searched, so nothing can be proved: "
                "entries that are deleted in the usual way are out of every answer at once"
            )

    # A change of model

    def reindex(
        self,
        encode: Encode,
        tick: Tick = lambda done, total: None,
        model_digest: str = "",
        allow_unserved: bool = False,
    ) -> ReindexReport:
        """Brings the gallery to the bundle's feature space: encodes the thumbnails there
        are, then serves the new space and deletes the old entries, in one transaction.

        If that would leave subjects without any entry that is served, it changes nothing
        unless ``allow_unserved``; enrol them anew, or delete them, and run it again: it
        goes on where it was, after a kill as well. Raises :class:`ConflictError` if the
        gallery is of the bundle's space already.
        """
        self._loading.wait()
        old, new = self._loading.active_space, self._gallery.space_id
        if old == new:
            raise ConflictError(f"the gallery is of the space {new}: nothing to reindex")
        database = self._store.database
        encoded, failed = encode_all(
            self._store, old, new, encode, self._gallery.enrol, tick, model_digest
        )
        with self._lock:
            count = feature_spaces.unserved_count(database, new)
            unserved = feature_spaces.unserved(database, new, "", _REPORTED)
            switched = allow_unserved or not count
            if switched:
                feature_spaces.switch(self._store, new)
                self._loading.active_space = new
        self._background.notify(deleted=switched)
        return ReindexReport(encoded, tuple(failed), tuple(unserved), count, switched)

    def unserved(self, after: str, limit: int) -> list[str]:
        """Returns subjects, by id, all of whose entries are of a space that is not served."""
        return feature_spaces.unserved(self._store.database, self._gallery.space_id, after, limit)

    # Copies

    def backup(self, path: Path) -> list[int]:
        """Copies the gallery as of now to a file, checked. Returns the entries in it that are
        damaged, and marked so.

        Raises :class:`InputError` if it is there already or cannot be written.
        """
        return backup.backup(self._store.path, path)

    def export_archive(self, path: Path, tick: Tick = lambda done, total: None) -> Counts:
        """Writes everything that is served to an archive, for another gallery of this space:
        see :mod:`accesspoint.gallery.maintenance.archive_format`.

        Raises :class:`InputError` if it is there already or cannot be written.
        """
        dim = self._gallery.feature_dim
        return write_archive(path, self._store, self._loading.active_space, dim, tick)

    def import_archive(
        self,
        path: Path,
        on_conflict: OnConflict = "skip",
        tick: Tick = lambda done, total: None,
    ) -> Counts:
        """Enrols the content of an archive: see
        :mod:`accesspoint.gallery.maintenance.archive_format`.

        Raises :class:`WrongSpaceError`, :class:`ConflictError` with ``fail``, and
        :class:`InputError` for a file that is no archive, or damaged; batches before the
        damage are in then, and an import with ``skip`` goes on after them.
        """
        return read_archive(path, self._gallery, on_conflict, tick)
