"""Indexes of a gallery on Milvus, kept complete for the access points that read them."""

from __future__ import annotations

from collections.abc import Callable

from accesspoint.errors import NotReadyError
from accesspoint.gallery.milvus.client import MilvusSettings
from accesspoint.gallery.milvus.collections import MilvusCollections
from accesspoint.gallery.milvus.index import MilvusIndex
from accesspoint.gallery.milvus.periodic import PeriodicTask
from accesspoint.gallery.milvus.read_only_gallery import SHARED_SETTINGS
from accesspoint.gallery.search.index import Index, IndexSpec, LiveIndexes
from accesspoint.gallery.search.reconcile import FEATURES
from accesspoint.gallery.store.store import Store
from airreid import log
from airreid.bundle import Bundle
from airreid.errors import InputError


class MilvusWriter:
    """Remote indexes of the gallery whose store is the truth.

    Enrolling and deleting go on while Milvus is away; searching does not. A collection
    that fell behind is brought up to date as soon as the server answers again.
    """

    def __init__(self, settings: MilvusSettings, store: Store, bundle: Bundle) -> None:
        """Raises :class:`airreid.errors.BundleError` for a scheme that the bundle does not
        have, and :class:`InputError` for a token that is refused and for collections of
        another gallery."""
        self._scheme_ids = settings.schemes or (FEATURES, *bundle.scheme_ids)
        for scheme_id in self._scheme_ids:
            if scheme_id != FEATURES:
                bundle.scheme(scheme_id)
        self._uri = settings.uri
        self._store, self._space_id = store, bundle.backbone.space_id
        self._indexes: LiveIndexes | None = None
        self._check_ready: Callable[[], None] = lambda: None
        self._updates = PeriodicTask("milvus_writer", self._update)
        self._collections = MilvusCollections(settings, store)
        try:
            self._collections.claim()
        except NotReadyError as error:
            log.warning("milvus_away", error=str(error))
        except InputError:
            self._collections.close()
            raise

    def open(self, spec: IndexSpec) -> Index:
        """Opens a collection, made if there is none. Raises :class:`NotReadyError`."""
        return self._collections.open(spec)

    def start(self, indexes: LiveIndexes, check_ready: Callable[[], None]) -> None:
        """Begins to keep every collection open, complete and shared; readers search what this
        process does not."""
        self._indexes, self._check_ready = indexes, check_ready
        self._updates.start()

    def _update(self) -> None:
        self._check_ready()
        assert self._indexes is not None
        self._collections.drop_stale(self._space_id)
        for key in SHARED_SETTINGS:
            if (text := self._store.settings.get(key)) is not None:
                self._collections.share(key, text)
        for scheme_id, index in self._indexes.live.items():
            if isinstance(index, MilvusIndex) and index.closed:
                self._indexes.drop(scheme_id)
        for scheme_id in self._scheme_ids:
            if not _complete(self._indexes.get(scheme_id)):
                self._indexes.maintain(scheme_id)

    @property
    def problem(self) -> str:
        """Reason that a collection is not complete; empty if all are and the server answers."""
        if failure := self._updates.failure:
            return failure if "Milvus" in failure else f"Milvus at {self._uri}: {failure}"
        live = {} if self._indexes is None else self._indexes.live
        filling = [name for name in self._scheme_ids if not _complete(live.get(name))]
        return (
            f"Milvus at {self._uri}: the collection of {filling[0]} is being filled"
            if filling
            else ""
        )

    @property
    def ready(self) -> bool:
        """Whether there is nothing that :attr:`problem` names."""
        return not self.problem

    def wait(self, ready: Callable[[], bool], timeout_s: float | None) -> bool:
        """Waits until ``ready``, or stopped. Returns whether it is."""
        return self._updates.wait(ready, timeout_s)

    def stop(self) -> None:
        """Ends what :meth:`start` began."""
        self._updates.close()

    def close(self) -> None:
        """Leaves the server, after the gallery is closed."""
        self._collections.close()


def _complete(index: Index | None) -> bool:
    return isinstance(index, MilvusIndex) and index.complete
