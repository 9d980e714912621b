"""The gallery: the store, and one search index for each scheme in use."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accesspoint.index import EmbeddingIndex
from accesspoint.store import Entry, NewEntry, Store, check_name
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.scheme import Scheme
from airreid.schemes import open_scheme
from airreid.wire import check_magnitude


@dataclass(frozen=True)
class Match:
    """A subject that was found, by its best entry."""

    subject: str
    score: float
    entry_id: int
    camera: str


@dataclass(frozen=True)
class Found:
    """The answer to one embedding."""

    matches: list[Match]
    entry_ids: NDArray[np.int64]
    scores: NDArray[np.float32]


class Gallery:
    """Enrols, deletes and searches; safe in any thread.

    The store is written first and the indexes follow, so that whatever has been
    acknowledged is on disk. An index is built when its scheme is first used, from the
    raw features that the store keeps.
    """

    def __init__(self, store: Store, bundle: Bundle, threads: int) -> None:
        self._store = store
        self._bundle = bundle
        self._threads = threads
        self._lock = threading.RLock()
        self._schemes: dict[str, Scheme] = {}
        self._indexes: dict[str, EmbeddingIndex] = {}
        self._entries: dict[int, Entry] = {}
        self._entries_of: Counter[str] = Counter()
        foreign = store.other_spaces(self.space_id)
        if foreign:
            raise InputError(
                f"the gallery holds {foreign} entries of another feature space than "
                f"{self.space_id}; serve the bundle they were made with, or use another --data-dir"
            )
        after = 0
        while page := store.entries(after, 10_000):
            self._remember(page)
            after = page[-1].id

    @property
    def space_id(self) -> str:
        return self._bundle.backbone.space_id

    @property
    def store(self) -> Store:
        return self._store

    def scheme(self, scheme_id: str) -> Scheme:
        """A scheme at work. Raises :class:`airreid.errors.BundleError` if unknown."""
        with self._lock:
            if scheme_id not in self._schemes:
                info = self._bundle.scheme(scheme_id)
                self._schemes[scheme_id] = open_scheme(self._bundle, info, self._threads)
            return self._schemes[scheme_id]

    def check(self, entry: NewEntry) -> None:
        """Raises :class:`InputError` for an entry that cannot be enrolled: a bad name, a
        feature of another space or length, one that is not finite or is all zeros."""
        dim = self._bundle.backbone.feature_dim
        check_name(entry.subject, "subject")
        check_name(entry.camera, "camera")
        if entry.space_id != self.space_id:
            raise InputError(
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

        Raises as :meth:`check` does.
        """
        for entry in entries:
            self.check(entry)
        if not entries:
            return []
        with self._lock:
            features = np.stack([entry.feature for entry in entries]).astype(np.float32)
            embeddings = {name: self.scheme(name).gallery(features) for name in self._indexes}
            stored = self._store.add_entries(entries)
            ids = np.asarray([entry.id for entry in stored], dtype=np.int64)
            for name, index in self._indexes.items():
                index.add(ids, embeddings[name])
            self._remember(stored)
        return [entry.id for entry in stored]

    def delete_subject(self, subject: str) -> int | None:
        """Number of entries deleted with the subject, or None if there is none."""
        with self._lock:
            ids = self._store.delete_subject(subject)
            if ids is not None:
                self._forget(ids)
            return None if ids is None else len(ids)

    def delete_entry(self, entry_id: int) -> bool:
        with self._lock:
            gone = self._store.delete_entry(entry_id)
            if gone:
                self._forget([entry_id])
            return gone

    def _remember(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._entries[entry.id] = entry
            self._entries_of[entry.subject] += 1

    def _forget(self, ids: list[int]) -> None:
        for index in self._indexes.values():
            index.remove(ids)
        for entry_id in ids:
            entry = self._entries.pop(entry_id)
            self._entries_of[entry.subject] -= 1
            if not self._entries_of[entry.subject]:
                del self._entries_of[entry.subject]

    def _index(self, scheme_id: str) -> EmbeddingIndex:
        if scheme_id not in self._indexes:
            scheme = self.scheme(scheme_id)
            index = EmbeddingIndex(scheme.info.embedding_dim)
            for ids, features in self._store.features(self.space_id):
                index.add(ids, scheme.gallery(features))
            self._indexes[scheme_id] = index
        return self._indexes[scheme_id]

    def search(
        self, scheme_id: str, embeddings: NDArray[np.float32], top_k: int, top_entries: int
    ) -> list[Found]:
        """For each embedding (n, dim): the best subjects and the best entries."""
        with self._lock:
            index = self._index(scheme_id)
            wanted = min(top_k, len(self._entries_of))
            depth = max(top_entries, 4 * top_k)
            while True:
                scores, ids = index.search(embeddings, depth)
                found = [
                    self._found(row_scores, row_ids, top_k, top_entries)
                    for row_scores, row_ids in zip(scores, ids, strict=True)
                ]
                if depth >= len(index) or all(len(f.matches) >= wanted for f in found):
                    return found
                depth *= 4

    def _found(
        self, scores: NDArray[np.float32], ids: NDArray[np.int64], top_k: int, top_entries: int
    ) -> Found:
        matches: dict[str, Match] = {}
        for score, entry_id in zip(scores.tolist(), ids.tolist(), strict=True):
            entry = self._entries[entry_id]
            if entry.subject not in matches:
                matches[entry.subject] = Match(entry.subject, score, entry_id, entry.camera)
                if len(matches) == top_k:
                    break
        return Found(list(matches.values()), ids[:top_entries], scores[:top_entries])
