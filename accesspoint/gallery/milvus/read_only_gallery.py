"""A gallery that only searches the collections that another access point writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from accesspoint.errors import ConflictError, NotReadyError
from accesspoint.gallery import records
from accesspoint.gallery.milvus.applied_table import Applied, AppliedTable
from accesspoint.gallery.milvus.client import MilvusServer, MilvusSettings
from accesspoint.gallery.milvus.collection import (
    TOP_MAX,
    Collection,
    Hit,
    collection_name,
)
from accesspoint.gallery.milvus.periodic import PeriodicTask
from accesspoint.gallery.records import Match, NewEntry, SearchResult
from accesspoint.gallery.search.enough import IsEnough, only_enough
from accesspoint.gallery.search.reconcile import scheme_digest
from accesspoint.gallery.search.running_scores import RunningScores
from accesspoint.gallery.search.scheme_cache import SchemeCache
from accesspoint.gallery.store.database import Database
from accesspoint.gallery.store.stored_settings import StoredSettings
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.nested.stopping import CANDIDATES
from airreid.scheme import Scheme

READ_ONLY = (
    "this access point reads a shared gallery: list, enrol and delete at the one that writes it"
)
SHARED_SETTINGS = ("match_policy",)
"""Settings that readers take from the writing access point."""


_TABLES = ("subjects", "entries")


class ReadOnlyGallery:
    """Searches a gallery on Milvus, and changes nothing; safe in any thread.

    It sees every change that the writing access point has acknowledged while Milvus answered
    it. The policy for matches is the writing access point's; other settings are in the file
    of this one, which holds no entries.
    """

    writable = None
    deletions = 0

    def __init__(
        self, database: Database, bundle: Bundle, threads: int, milvus: MilvusSettings
    ) -> None:
        """Raises :class:`InputError` for a file with entries of its own. It is the caller's
        to close after the gallery."""
        if any(database.row(f"SELECT 1 FROM {table} LIMIT 1") for table in _TABLES):
            raise InputError(
                f"{database.path}: holds entries of its own, which a reader of a shared gallery "
                "would never search; give it another --data-dir"
            )
        self._bundle = bundle
        self._schemes = SchemeCache(bundle, threads, compact=False)
        self._settings = StoredSettings(database)
        self._milvus_settings = milvus
        self._server: MilvusServer | None = None
        self._known: dict[str, Applied] = {}
        self._shared: dict[str, str] = {}
        self._refresh = PeriodicTask("milvus_reader", self._read_table)
        self._refresh.start()

    def close(self) -> None:
        """Leaves the server. No call may follow."""
        self._refresh.close()
        if self._server is not None:
            self._server.close()

    def _read_table(self) -> None:
        if self._server is None:
            self._server = MilvusServer(self._milvus_settings)
        table = AppliedTable(self._server)
        self._known = table.all()
        self._shared = {
            key: text for key in SHARED_SETTINGS if (text := table.setting(key)) is not None
        }
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
    def space_id(self) -> str:
        """Feature space of the bundle that is served."""
        return self._bundle.backbone.space_id

    @property
    def not_ready(self) -> str:
        """Reason that nothing can be searched; empty where there is a collection to read, and
        all of them are complete."""
        failure = self._refresh.failure
        if not failure or "Milvus" in failure or self._milvus_settings.uri in failure:
            return failure
        return f"Milvus at {self._milvus_settings.uri}: {failure}"

    @property
    def ready(self) -> bool:
        """Whether there is nothing that :attr:`not_ready` names."""
        return not self._refresh.failure

    load_failure = ""

    def wait_ready(self, timeout_s: float | None = None) -> bool:
        """Waits until there is a collection to read. Returns whether there is."""
        return self._refresh.wait(lambda: self.ready, timeout_s)

    def counts(self) -> tuple[int, int]:
        """Returns how many (subjects, entries) the writing access point last had, up to a
        minute ago."""
        last = max(self._known.values(), key=lambda applied: applied.position, default=None)
        return (0, 0) if last is None else (last.subjects, last.entries)

    def setting(self, key: str) -> str | None:
        """Returns a document, the writing access point's of a second ago if it is shared."""
        return self._shared.get(key) if key in SHARED_SETTINGS else self._settings.get(key)

    def set_setting(self, key: str, text: str) -> None:
        """Stores a document in place of the one before. Raises :class:`ConflictError` for one
        that is shared."""
        if key in SHARED_SETTINGS:
            raise ConflictError(READ_ONLY)
        self._settings.set(key, text)

    def check(self, entry: NewEntry) -> None:
        """Raises as :func:`accesspoint.gallery.records.check_entry` does."""
        records.check_entry(entry, self._bundle.backbone)

    def scheme(self, scheme_id: str) -> Scheme:
        """Returns a scheme at work; its embeddings are as :meth:`search` takes them. Raises
        :class:`airreid.errors.BundleError` if unknown."""
        return self._schemes.scheme(scheme_id)

    def is_local(self, scheme_id: str) -> bool:
        """Returns False: every search asks the server."""
        return False

    def continue_search(
        self,
        scheme_id: str,
        embeddings: NDArray[np.float32],
        running: Sequence[RunningScores],
        top_k: int,
        top_entries: int,
        is_enough: IsEnough,
    ) -> list[SearchResult | None]:
        """Searches anew: the server keeps no scores."""
        results = self.search(scheme_id, embeddings, max(CANDIDATES, top_k), top_entries)
        return only_enough(results, is_enough)

    def search(
        self, scheme_id: str, embeddings: NDArray[np.float32], top_k: int, top_entries: int
    ) -> list[SearchResult]:
        """Returns for each embedding (n, dim) the best subjects and the best entries.

        Raises :class:`NotReadyError` for a scheme without a complete collection, and
        :class:`airreid.errors.BundleError` for one that is not in the bundle.
        """
        collection = self._collection(scheme_id)
        depth = max(top_entries, 4 * top_k)
        while True:
            ranked_hits = collection.search(embeddings, depth)
            results = [_result(hits, top_k, top_entries) for hits in ranked_hits]
            if depth >= TOP_MAX or all(
                len(hits) < depth or len(result.matches) == top_k
                for hits, result in zip(ranked_hits, results, strict=True)
            ):
                return results
            depth *= 4

    def _collection(self, scheme_id: str) -> Collection:
        content = scheme_digest(self._bundle, scheme_id)
        name = collection_name(self._milvus_settings.prefix, scheme_id, self.space_id, content)
        if name not in self._known:
            self._refresh.run_now()
        if self._server is None or name not in self._known:
            raise NotReadyError(
                self._refresh.failure
                or f"the writing access point keeps no collection of {scheme_id} as it is in "
                "this bundle"
            )
        if not self._known[name].complete:
            raise NotReadyError(f"the collection of {scheme_id} is being filled")
        return Collection(self._server, name, self._known[name].dim)


def _result(hits: Sequence[Hit], top_k: int, top_entries: int) -> SearchResult:
    """Turns ranked rows into ranked subjects and entries."""
    matches: dict[str, Match] = {}
    for hit in hits:
        if len(matches) < top_k and hit.subject not in matches:
            matches[hit.subject] = Match(hit.subject, hit.score, hit.id, hit.camera)
    best = hits[:top_entries]
    return SearchResult(
        list(matches.values()),
        np.asarray([hit.id for hit in best], dtype=np.int64),
        np.asarray([hit.score for hit in best], dtype=np.float32),
    )
