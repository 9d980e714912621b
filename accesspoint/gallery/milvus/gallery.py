"""Galleries on Milvus: one access point writes, any number of others read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from accesspoint.errors import ConflictError, NotReadyError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.milvus.client import MilvusSettings
from accesspoint.gallery.milvus.collections import MilvusIndexes
from accesspoint.gallery.milvus.index import MilvusIndex
from accesspoint.gallery.milvus.periodic import Rounds
from accesspoint.gallery.milvus.reader import SHARED, ReadingGallery
from accesspoint.gallery.search.index import Index
from accesspoint.gallery.search.reconcile import FEATURES
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store.store import Store
from airreid import log
from airreid.bundle import Bundle
from airreid.errors import InputError


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
        self._milvus.keep_clean(self.space_id)
        for key in SHARED:
            if (text := self.setting(key)) is not None:
                self._milvus.share(key, text)
        for scheme_id, index in self._indexes.live.items():
            if isinstance(index, MilvusIndex) and index.closed:
                self._indexes.drop(scheme_id)
        for scheme_id in self._kept:
            index = self.index(scheme_id)
            if isinstance(index, MilvusIndex) and not index.complete:
                with self._lock:  # nothing changes meanwhile
                    index.maintain(self.log_position)

    @property
    def ready(self) -> bool:
        live = self._indexes.live
        return (
            super().ready
            and not self._upkeep.failure
            and all(_complete(live.get(scheme_id)) for scheme_id in self._kept)
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


def _complete(index: Index | None) -> bool:
    return isinstance(index, MilvusIndex) and index.complete
