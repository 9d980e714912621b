"""The search indexes of one feature space, one for each scheme in use."""

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
from accesspoint.gallery.store.store import Store
from airreid import log
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.jscc import JsccScheme
from airreid.scheme import Scheme
from airreid.scheme_kinds import open_scheme


class Indexes:
    """Opens an index when its scheme is first searched, and keeps it equal to the store.

    ``lock`` is held by whoever changes the store, until :meth:`add` or :meth:`remove`
    has been called for the change. Searching does not take it.
    """

    def __init__(
        self,
        store: Store,
        bundle: Bundle,
        threads: int,
        lock: threading.RLock,
        open_index: OpenIndex,
        keep: bool,
        compact: bool,
    ) -> None:
        """``keep``: snapshots on disk. ``compact``: indexes may hold embeddings in fewer
        dimensions, with the same cosines (:mod:`accesspoint.gallery.search.linear_subspace`)."""
        self._store, self._bundle, self._threads = store, bundle, threads
        self._lock, self._open_index = lock, open_index
        self._files = store.path.parent / "index"
        self._folder = self._files if keep else None
        self._compact = compact
        self._opening = threading.RLock()
        self._dims: dict[str, int] = {}
        """Of embeddings that have fewer dimensions than the bundle says."""
        self._schemes: dict[str, Scheme] = {}
        self._live: dict[str, Index] = {}

    def scheme(self, scheme_id: str) -> Scheme:
        """A scheme at work, whose embeddings are as its index has them.

        Raises :class:`airreid.errors.BundleError` if unknown.
        """
        if (scheme := self._schemes.get(scheme_id)) is not None:
            return scheme
        with self._opening:
            if scheme_id not in self._schemes:
                info = self._bundle.scheme(scheme_id)
                scheme = open_scheme(self._bundle, info, self._threads)
                if self._compact and isinstance(scheme, JsccScheme) and scheme.info.decoder:
                    sizes = scheme.info.bandwidth, scheme.info.embedding_dim
                    if (decoder := linear_subspace.compact(scheme.decode, *sizes)) is not None:
                        self._dims[scheme_id] = decoder.matrix.shape[1]
                        scheme = scheme.decoding_by(decoder)
                self._schemes[scheme_id] = scheme
            return self._schemes[scheme_id]

    def get(self, scheme_id: str) -> Index:
        """The index of a scheme, or of the raw features for ``features``.

        Raises :class:`airreid.errors.BundleError` for a scheme that is not there.
        """
        if (index := self._live.get(scheme_id)) is not None:
            return index
        with self._opening:
            if scheme_id not in self._live:
                self._bring_up(scheme_id)
            return self._live[scheme_id]

    def is_local(self, scheme_id: str) -> bool:
        """Whether the index of a scheme is open, and in this process."""
        return self._compact and scheme_id in self._live

    def bring_up_kept(self) -> None:
        """Opens the indexes that are on disk; removes those that nobody can use."""
        usable = {FEATURES, *self._bundle.scheme_ids} if self._folder else set()
        for folder in sorted(self._files.iterdir()) if self._files.is_dir() else []:
            if folder.name in usable:
                self.get(folder.name)
            elif folder.is_dir():
                shutil.rmtree(folder)
                self._store.drop_consumer(f"snapshot:{folder.name}")

    @property
    def live(self) -> dict[str, Index]:
        """The indexes that are open, by scheme."""
        return dict(self._live)

    def embed(self, scheme_id: str, features: Array) -> Array:
        """What the index of a scheme holds of features (n, feature_dim)."""
        return features if scheme_id == FEATURES else self.scheme(scheme_id).gallery(features)

    def embed_for_all(
        self, features: Array, done: dict[str, Array] | None = None
    ) -> dict[str, Array]:
        """Embeddings (n, dim) for every open index; those in ``done`` are kept."""
        done = done or {}
        return {
            name: done[name] if name in done else self.embed(name, features) for name in self.live
        }

    def add(self, ids: Ids, digests: Ids, embeddings: dict[str, Array]) -> None:
        """Follows the store. An index that fails is dropped, to be made anew."""
        for name, index in self.live.items():
            self._or_drop(name, partial(index.add, ids, digests, embeddings[name]))

    def remove(self, ids: Ids) -> None:
        for name, index in self.live.items():
            self._or_drop(name, partial(index.remove, ids))

    def moved(self, ids: Ids) -> None:
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

    def spec(self, scheme_id: str) -> IndexSpec:
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
        if not raw:
            self.scheme(scheme_id)  # so that nobody who holds the lock has to open it
        dim = self._dims.get(scheme_id)
        if dim is None:
            return whole
        digest = hashlib.sha256(
            f"{whole.scheme_digest}\n{linear_subspace.MARK}".encode()
        ).hexdigest()
        return replace(whole, dim=dim, scheme_digest=digest)

    def _bring_up(self, scheme_id: str) -> None:
        """Nobody waits while the index takes in most of the store; then, under the lock,
        what has changed meanwhile."""
        spec = self.spec(scheme_id)

        def embed(features: Array) -> Array:
            return self.embed(scheme_id, features)

        index = self._open_index(spec)
        before = self._store.log_position
        reconcile(index, self._store, spec.space_id, embed)
        with self._lock:
            try:
                replay(index, self._store, spec.space_id, before, embed)
            except InputError:  # the log was cut meanwhile
                reconcile(index, self._store, spec.space_id, embed)
            self._live[scheme_id] = index

    def close(self) -> None:
        with self._opening, self._lock:
            for index in self._live.values():
                index.close()
            self._live.clear()
