"""Search indexes of one feature space, one for each scheme in use."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from accesspoint.gallery.search import linear_subspace
from accesspoint.gallery.search.index import Array, Ids, Index, IndexSpec, OpenIndex
from accesspoint.gallery.search.reconcile import FEATURES, reconcile, replay, scheme_digest
from accesspoint.gallery.search.scheme_cache import SchemeCache
from accesspoint.gallery.search.segmented_index import SegmentedIndex
from accesspoint.gallery.store.held_files import INDEX_FOLDER
from accesspoint.gallery.store.store import Store
from airreid import log
from airreid.bundle import Bundle
from airreid.errors import InputError


class SchemeIndexes:
    """Opens an index when its scheme is first searched, and keeps it equal to the store.

    ``lock`` is held by whoever changes the store, until :meth:`add` or :meth:`remove`
    has been called for the change. Searching does not take it.
    """

    def __init__(
        self,
        store: Store,
        bundle: Bundle,
        schemes: SchemeCache,
        lock: threading.RLock,
        open_index: OpenIndex,
        snapshots: bool,
        read_only: bool = False,
    ) -> None:
        """``snapshots``: indexes are kept on disk, beside the gallery's file; ``read_only``
        leaves those as they are."""
        self._read_only = read_only
        self._store, self._bundle, self._schemes = store, bundle, schemes
        self._lock, self._open_index = lock, open_index
        self._files = store.path.parent / INDEX_FOLDER
        self._folder = self._files if snapshots else None
        self._opening = threading.RLock()
        self._live: dict[str, Index] = {}

    @property
    def live(self) -> dict[str, Index]:
        """Indexes that are open, by scheme."""
        return dict(self._live)

    def get(self, scheme_id: str) -> Index:
        """Returns the index of a scheme, or of the raw features for ``features``.

        Raises :class:`airreid.errors.BundleError` for a scheme that is not there.
        """
        if (index := self._live.get(scheme_id)) is not None:
            return index
        with self._opening:
            if scheme_id not in self._live:
                self._bring_up(scheme_id)
            return self._live[scheme_id]

    def is_open(self, scheme_id: str) -> bool:
        """Tells whether the index of a scheme is open."""
        return scheme_id in self._live

    def open_snapshots(self) -> None:
        """Opens the indexes that are on disk; removes those that nobody can use."""
        usable = {FEATURES, *self._bundle.scheme_ids} if self._folder else set()
        for folder in sorted(self._files.iterdir()) if self._files.is_dir() else []:
            if folder.name in usable:
                self.get(folder.name)
            elif folder.is_dir() and not self._read_only:
                shutil.rmtree(folder)
                self._store.log.drop_consumer(f"snapshot:{folder.name}")

    def embed(self, scheme_id: str, features: Array) -> Array:
        """Maps features (n, feature_dim) to what the index of a scheme holds, (n, dim)."""
        if scheme_id == FEATURES:
            return features
        return self._schemes.scheme(scheme_id).gallery(features)

    def embed_for_all(
        self, features: Array, done: dict[str, Array] | None = None
    ) -> dict[str, Array]:
        """Returns embeddings (n, dim) for every open index; those in ``done`` are kept."""
        done = done or {}
        return {
            name: done[name] if name in done else self.embed(name, features) for name in self.live
        }

    def add(self, ids: Ids, digests: Ids, embeddings: dict[str, Array]) -> None:
        """Adds to every index what the store has. An index that fails is dropped, to be made
        anew."""
        for name, index in self.live.items():
            self._or_drop(name, partial(index.add, ids, digests, embeddings[name]))

    def remove(self, ids: Ids) -> None:
        """Removes entries from every index, as :meth:`add` adds them."""
        for name, index in self.live.items():
            self._or_drop(name, partial(index.remove, ids))

    def moved(self, ids: Ids) -> None:
        """Tells every index of entries that belong to another subject from now on."""
        for name, index in self.live.items():
            self._or_drop(name, partial(index.moved, ids))

    def _or_drop(self, name: str, change: Callable[[], None]) -> None:
        try:
            change()
        except Exception as error:
            log.warning("index_dropped", scheme=name, error=type(error).__name__)
            self.drop(name)

    def drop(self, name: str) -> None:
        """Forgets an index, to be made anew; nothing if there is none."""
        with self._lock:
            self._live.pop(name, None)

    def make_anew(self, scheme_id: str) -> None:
        """Forgets an index and its snapshot, and makes it from the store; its searches wait."""
        with self._opening:
            index = self._live.get(scheme_id)
            if isinstance(index, SegmentedIndex):
                index.retire()
            self.drop(scheme_id)
            if self._folder is not None and not self._read_only:
                shutil.rmtree(self._folder / scheme_id, ignore_errors=True)
            self.get(scheme_id)

    def maintain(self, scheme_id: str) -> None:
        """Has an index do its upkeep while nothing changes; nothing if it is not open."""
        with self._lock:
            if (index := self._live.get(scheme_id)) is not None:
                index.maintain(self._store.log.position)

    def spec(self, scheme_id: str) -> IndexSpec:
        """Returns what the index of a scheme must be. Raises as :meth:`get` does."""
        backbone = self._bundle.backbone
        raw = scheme_id == FEATURES
        whole = IndexSpec(
            scheme_id,
            backbone.space_id,
            scheme_digest(self._bundle, scheme_id),
            backbone.feature_dim if raw else self._bundle.scheme(scheme_id).embedding_dim,
            self._store.store_id,
            self._folder,
        )
        # This opens the scheme, so that nobody who holds the lock has to.
        dim = None if raw else self._schemes.compact_dim(scheme_id)
        if dim is None:
            return whole
        text = f"{whole.scheme_digest}\n{linear_subspace.MARK}"
        return replace(whole, dim=dim, scheme_digest=hashlib.sha256(text.encode()).hexdigest())

    def _bring_up(self, scheme_id: str) -> None:
        """Opens an index. Nobody waits while it takes in most of the store; then, under the
        lock, whatever has changed meanwhile."""
        spec = self.spec(scheme_id)
        embed = partial(self.embed, scheme_id)
        index = self._open_index(spec)
        before = self._store.log.position
        reconcile(index, self._store, spec.space_id, embed)
        with self._lock:
            try:
                replay(index, self._store, spec.space_id, before, embed)
            except InputError:  # the log was cut meanwhile
                reconcile(index, self._store, spec.space_id, embed)
            self._live[scheme_id] = index

    def close(self) -> None:
        """Closes every index, which writes the snapshots that are due."""
        with self._opening, self._lock:
            for index in self._live.values():
                index.close()
            self._live.clear()
