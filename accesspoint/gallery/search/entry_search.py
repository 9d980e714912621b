"""Search for entries and the subjects they belong to."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accesspoint.gallery.records import Entry, SearchResult
from accesspoint.gallery.search.enough import IsEnough, only_enough
from accesspoint.gallery.search.entry_owners import EntryOwners
from accesspoint.gallery.search.index import Array, Ids
from accesspoint.gallery.search.running_scores import RunningScores, ScoredRows
from accesspoint.gallery.search.scheme_indexes import SchemeIndexes
from accesspoint.gallery.search.segmented_index import SegmentedIndex
from accesspoint.gallery.store.store import Store
from airreid import log
from airreid.nested.stopping import CANDIDATES

_PAGE = 10_000
_UNREADABLE = "\ufffd"
"""Character of names that were altered in the file; no name may have it."""
_DEEPER = 64
"""Factor by which a search goes deeper that has not met enough subjects."""
_DEEP = 10_000
"""Entries above which a search is said to have gone deep."""


class EntrySearch:
    """The indexes and the owners of entries, changed together after the store.

    Changes come one at a time, under the gallery's lock; :meth:`search` comes from any
    thread at any time.
    """

    def __init__(self, indexes: SchemeIndexes) -> None:
        self.indexes = indexes
        self._deletions = 0
        self._expiry_lock = threading.Lock()
        self._owners = EntryOwners()

    @property
    def deletions(self) -> int:
        """Times that entries or their subjects went, or expired, since the start; answers from
        before a change of it may name somebody who is gone."""
        return self._deletions + self._owners.expiries.passed

    def load_owners(self, store: Store, space_id: str) -> None:
        """Reads the owner of each entry of a space that is not damaged."""
        after = 0
        while rows := store.owners(space_id, after, _PAGE):
            for entry_id, subject, camera, _ in rows:
                if _UNREADABLE in subject or _UNREADABLE in camera:
                    log.warning("entry_without_owner", entry=entry_id)
                elif entry_id not in store.quarantine:
                    self._owners.put(entry_id, subject, camera)
            after = rows[-1][0]
        entries, subjects = store.expiring()
        for entry_id, expires_at in entries:
            if entry_id in self._owners:
                self._owners.expiries.set_entry(entry_id, expires_at)
        for subject, expires_at in subjects:
            self._owners.expiries.set_subject(subject, expires_at)

    def read_expiry(self, store: Store, subject: str) -> None:
        """Reads from the store when a subject expires, which has changed."""
        with self._expiry_lock:
            self._owners.expiries.set_subject(subject, store.subjects.expiry(subject))

    def has_expired(self, subject: str) -> bool:
        """Tells whether a subject has expired and is not deleted yet."""
        return self._owners.expiries.subject_over(subject, time.time())

    def readmit(self, entries: Sequence[Entry]) -> None:
        """Takes the owners of stored entries in again; the indexes must be made anew."""
        for entry in entries:
            self._owners.put(entry.id, entry.subject, entry.camera, entry.expires_at)

    def add(
        self, entries: Sequence[Entry], digests: Sequence[int], embeddings: dict[str, Array]
    ) -> None:
        """Adds stored entries; embeddings (n, dim) for every open index."""
        for entry in entries:
            self._owners.put(entry.id, entry.subject, entry.camera, entry.expires_at)
        ids = np.asarray([entry.id for entry in entries], dtype=np.int64)
        self.indexes.add(ids, np.asarray(digests, dtype=np.int64), embeddings)

    def forget(self, ids: Sequence[int]) -> None:
        """Removes deleted entries."""
        if ids:
            self.indexes.remove(np.asarray(ids, dtype=np.int64))
            self._owners.drop(ids)
            self._deletions += 1  # last: with the old number, a gone entry may have been found

    def move(self, ids: Sequence[int], subject: str) -> None:
        """Gives entries to another subject."""
        self._owners.move(ids, subject)
        self.indexes.moved(np.asarray(ids, dtype=np.int64))
        self._deletions += 1

    def search(
        self, scheme_id: str, embeddings: NDArray[np.float32], top_k: int, top_entries: int
    ) -> list[SearchResult]:
        """Returns for each embedding (n, dim) the best subjects and the best entries.

        Raises :class:`airreid.errors.BundleError` for a scheme that is not there.
        """
        index = self.indexes.get(scheme_id)
        wanted = min(top_k, self._owners.subjects)
        depth = max(top_entries, 4 * top_k)
        scores, ids = index.search(embeddings, depth)
        results = [
            self._owners.ranked(row_scores, row_ids, top_k, top_entries)
            for row_scores, row_ids in zip(scores, ids, strict=True)
        ]
        # each by itself: one beside a person with thousands of entries makes no other dear
        for row, result in enumerate(results):
            reached = depth
            while len(result.matches) < wanted and reached < len(index):
                reached *= _DEEPER
                [row_scores], [row_ids] = index.search(embeddings[row : row + 1], reached)
                result = self._owners.ranked(row_scores, row_ids, top_k, top_entries)
            results[row] = _marked(result, depth, min(reached, len(index)))
        return results

    def nearest_of(self, scheme_id: str, embedding: Array, ids: Ids, count: int) -> Ids:
        """Returns those ``count`` of some entries, ids ascending, that are nearest to an
        embedding (dim,), ids ascending; all of them where the index cannot tell."""
        index = self.indexes.get(scheme_id)
        if len(ids) <= count or not isinstance(index, SegmentedIndex):
            return ids
        scores = index.scores_of(embedding, ids)
        return np.sort(ids[np.argsort(-scores, kind="stable")[:count]])

    def continue_search(
        self,
        scheme_id: str,
        embeddings: NDArray[np.float32],
        running: Sequence[RunningScores],
        top_k: int,
        top_entries: int,
        is_enough: IsEnough,
    ) -> list[SearchResult | None]:
        """Searches as :meth:`search` does, going on from what each block's scores hold.

        The subjects of a row that is not enough are not looked up: they are None.
        """
        index = self.indexes.get(scheme_id)
        rows = index.scored_rows() if isinstance(index, SegmentedIndex) else None
        if rows is None:
            results = self.search(scheme_id, embeddings, max(CANDIDATES, top_k), top_entries)
            return only_enough(results, is_enough)
        outcomes: list[SearchResult | None] = []
        for row, products in enumerate(rows.add_products(embeddings, running)):
            length = float(np.linalg.norm(embeddings[row]))
            ranking = _Ranking(self._owners, rows, products, length)
            outcomes.append(
                ranking.result(top_k, top_entries)
                if is_enough(row, ranking.best_scores(CANDIDATES))
                else None
            )
        return outcomes


class _Ranking:
    """Rows by one block's products, as deep as they were asked for."""

    def __init__(
        self, owners: EntryOwners, rows: ScoredRows, products: Array, length: float
    ) -> None:
        self._owners, self._rows = owners, rows
        self._products, self._length = products, length
        self._deepen(4 * CANDIDATES)

    def best_scores(self, count: int) -> list[float]:
        """Returns the scores of the best subjects, best first."""
        wanted = min(count, self._owners.subjects)
        while True:
            scores = self._owners.best_scores(self._scores, self._ids, count)
            if self._is_whole or len(scores) >= wanted:
                return scores
            self._deepen(4 * self._depth)

    def result(self, top_k: int, top_entries: int) -> SearchResult:
        """Returns the best subjects and entries."""
        wanted = min(top_k, self._owners.subjects)
        asked = max(top_entries, 4 * top_k)
        if self._depth < asked:
            self._deepen(asked)
        while True:
            result = self._owners.ranked(self._scores, self._ids, top_k, top_entries)
            if self._is_whole or len(result.matches) >= wanted:
                return _marked(result, asked, min(self._depth, self._rows.live))
            self._deepen(4 * self._depth)

    @property
    def _is_whole(self) -> bool:
        return self._depth >= self._rows.live

    def _deepen(self, depth: int) -> None:
        self._depth = depth
        self._scores, self._ids = self._rows.best(self._products, self._length, depth)


def _marked(result: SearchResult, asked: int, ranked: int) -> SearchResult:
    """Returns a result that says whether far more entries were ranked for it than asked for."""
    return replace(result, went_deep=True) if ranked > max(asked, _DEEP) else result
