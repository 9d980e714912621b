"""The gallery: what everybody else knows of the store and the indexes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from accesspoint.errors import ConflictError, NotFoundError
from accesspoint.gallery.core import CoreGallery
from accesspoint.gallery.maintenance import backup, deletion_proof
from accesspoint.gallery.maintenance.archive_reader import read_archive
from accesspoint.gallery.maintenance.archive_writer import Counts, OnConflict, write_archive
from accesspoint.gallery.maintenance.reindex import Encode, ReindexReport, Tick, encode_all
from accesspoint.gallery.store import feature_spaces


class Gallery(CoreGallery):
    """The gallery with what an operator does to it as a whole."""

    def tidy(self) -> None:
        """What the background does after changes, now: merges, and snapshots that are due."""
        self._loading.wait()
        self._keeper.tidy()

    def prove_deleted(
        self, ids: Sequence[int], pieces: Sequence[bytes] = ()
    ) -> deletion_proof.DeletionReport:
        """Takes deleted entries out of indexes and snapshots now rather than soon, gives
        the file's free pages back, and looks for the entries, and for these pieces of
        bytes, everywhere."""
        self._loading.wait()
        for index in self._indexes.live.values():
            index.purge(np.asarray(ids, dtype=np.int64))
        self._store.give_back_free_pages()
        return deletion_proof.search(self._store, self._indexes.live, ids, pieces)

    def delete_provably(self, ids: Sequence[int]) -> deletion_proof.DeletionReport:
        """Deletes entries and then searches every file for pieces of their bytes.

        Raises :class:`NotFoundError` for an entry that is not there: of one that is gone
        nobody knows the bytes any more.
        """
        self._loading.wait()
        thumbnails = [data for n in ids if (data := self._store.thumbnail(n)) is not None]
        features = self._store.features(ids)
        missing = set(ids) - set(features.ids.tolist())
        if missing:
            raise NotFoundError(f"no entry {min(missing)}")
        embeddings = self._indexes.embed_for_all(features.features).values()
        pieces = deletion_proof.needles(features.features, embeddings, thumbnails)
        self.delete_entries(ids)
        return self.prove_deleted(ids, pieces)

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
        if not self.needs_reindex:
            raise ConflictError(f"the gallery is of the space {self.space_id}: nothing to reindex")
        old, new = self.active_space, self.space_id
        made, failed = encode_all(self._store, old, new, encode, self._enrol, tick, model_digest)
        with self._lock:
            count = feature_spaces.unserved_count(self._store, new)
            first = feature_spaces.unserved(self._store, new, "", 100)
            switched = allow_unserved or not count
            if switched:
                feature_spaces.switch(self._store, new)
                self._loading.active_space = new
        self._keeper.changed(deleted=switched)
        return ReindexReport(made, tuple(failed), tuple(first), count, switched)

    def unserved(self, after: str, limit: int) -> list[str]:
        """Subjects, by id, all of whose entries are of a space that is not served."""
        return feature_spaces.unserved(self._store, self.space_id, after, limit)

    def backup(self, path: Path) -> None:
        """A copy of the gallery as of now in a file of its own, checked.

        Raises :class:`InputError` if it is there already or cannot be written.
        """
        backup.backup(self._store.path, path)

    def export_archive(self, path: Path, tick: Tick = lambda done, total: None) -> Counts:
        """Everything that is served, for another gallery of this space: see
        :mod:`accesspoint.gallery.maintenance.archive_writer`."""
        return write_archive(
            path, self._store, self.active_space, self._bundle.backbone.feature_dim, tick
        )

    def import_archive(
        self,
        path: Path,
        on_conflict: OnConflict = "skip",
        tick: Tick = lambda done, total: None,
    ) -> Counts:
        """Enrols what an archive holds: see :mod:`accesspoint.gallery.maintenance.archive_writer`.

        Raises :class:`WrongSpaceError`, :class:`ConflictError` with ``fail``, and
        :class:`InputError` for a file that is no archive, or damaged; batches before the
        damage are in then, and an import with ``skip`` goes on after them.
        """
        return read_archive(path, self, self.space_id, on_conflict, tick)
