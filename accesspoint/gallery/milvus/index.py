"""A search index of the gallery on a Milvus server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence

import numpy as np

from accesspoint.errors import NotReadyError
from accesspoint.gallery.milvus.applied_table import Applied, AppliedTable
from accesspoint.gallery.milvus.collection import Collection, Row
from accesspoint.gallery.search.index import Array, Ids
from accesspoint.gallery.store.store import Store
from airreid import log
from airreid.errors import InputError

_CHUNK = 2048
_REPLAY_MAX = 100_000
"""With more entries changed than this, every row is looked at instead."""
_UNKNOWN = 0
"""Stands for the digest of an entry that the store has deleted."""


class MilvusIndex:
    """An index as :class:`accesspoint.gallery.search.index.Index` says, for one writing process.

    Subject and camera stand beside each embedding, so that access points that only read need
    no store. The numbers and digests of what the collection holds are kept here as well
    (about 130 bytes an entry). When it is opened they are taken from the store and the
    log of changes since the position that the collection had applied, or, where those do
    not explain how many rows there are, from the collection itself, row by row.

    Raises :class:`NotReadyError` while the server does not answer, and after another
    process has begun to write; whoever catches it opens the index anew.
    """

    def __init__(
        self, collection: Collection, applied: AppliedTable, about: Applied, store: Store
    ) -> None:
        """``about``: the table's row of the collection, or the first one of a new one."""
        self._collection = collection
        self._table = applied
        self._about = about
        self._store = store
        self._lock = threading.RLock()
        self._closed = False
        self._count_next = 0.0
        held = self._from_log()
        if held is None:
            # Nothing is true until every row has been looked at and put right.
            self._about = about.model_copy(update={"position": 0, "complete": False})
        self._table.write(collection.name, self._about)
        self._digests = self._from_rows() if held is None else held

    def _from_log(self) -> dict[int, int] | None:
        """Returns number -> digest of the rows, by the store and the changes after the
        position; None where those do not explain how many rows there are."""
        touched: set[int] = set()
        after = self._about.position
        if after == 0:
            return {} if self._collection.count() == 0 else None
        try:
            while changes := self._store.log.changes(after, _CHUNK):
                after = changes[-1].seq
                touched.update(change.entry for change in changes)
                if len(touched) > _REPLAY_MAX:
                    return None
        except InputError:  # the log was cut
            return None
        ids, digests = self._store.ids_and_digests(self._about.space_id)
        stored = dict(zip(ids.tolist(), digests.tolist(), strict=True))
        sure = {number: digest for number, digest in stored.items() if number not in touched}
        present = self._collection.present(sorted(touched))
        if self._collection.count() != len(sure) + len(present):
            return None
        # Those of the touched that are in the store are written again, to be sure of all of
        # the row; the others are removed again.
        return sure | {number: _UNKNOWN for number in present if number not in stored}

    def _from_rows(self) -> dict[int, int]:
        """Returns number -> digest of the rows, read one by one; those that name another owner
        than the store does are left out, to be written again."""
        log.event("milvus_rows_compared", collection=self._collection.name)
        held: dict[int, int] = {}
        for rows in self._collection.rows():
            owners = {row.id: row for row in self._rows([row.id for row in rows])}
            for row in rows:
                owner = owners.get(row.id)
                if owner is None or (owner.subject, owner.camera) == (row.subject, row.camera):
                    held[row.id] = row.digest
        return held

    def _rows(self, ids: Sequence[int]) -> list[Row]:
        """Returns rows as the store has them; entries that it does not have are left out."""
        return [
            Row(number, digest, subject, camera)
            for number, subject, camera, digest in self._store.owners_of(ids)
        ]

    def __len__(self) -> int:
        return len(self._digests)

    def add(self, ids: Ids, digests: Ids, embeddings: Array) -> None:
        with self._lock:
            self._check_open()
            place = {number: i for i, number in enumerate(ids.tolist())}
            rows = self._rows(list(place))  # without those that were deleted meanwhile
            self._collection.upsert(rows, embeddings[[place[row.id] for row in rows]])
            self._digests |= {row.id: row.digest for row in rows}

    def remove(self, ids: Ids) -> None:
        with self._lock:
            self._check_open()
            self._delete(ids.tolist())

    def _delete(self, ids: Iterable[int]) -> None:
        held = [number for number in ids if number in self._digests]
        if held:
            self._collection.delete(held)
            for number in held:
                del self._digests[number]

    def moved(self, ids: Ids) -> None:
        """Writes entries again that belong to another subject from now on."""
        with self._lock:
            self._check_open()
            rows = {row.id: row for row in self._rows([n for n in ids.tolist() if n in self])}
            numbers = list(rows)
            for start in range(0, len(numbers), _CHUNK):
                vectors = self._collection.embeddings(numbers[start : start + _CHUNK])
                if vectors:
                    moved = [rows[number] for number in vectors]
                    self._collection.upsert(moved, np.stack([*vectors.values()]))

    def __contains__(self, entry_id: int) -> bool:
        return entry_id in self._digests

    def search(self, embeddings: Array, k: int) -> tuple[Array, Ids]:
        """Returns scores and ids as :class:`accesspoint.gallery.search.index.Index` says, of at
        most 16,384 entries, Milvus' limit. Where an approximate kind of index found fewer than
        it should, the rest of the row is id -1, score -1."""
        self._check_open()
        answer = self._collection.search(embeddings, min(k, len(self)))
        width = max((len(hits) for hits in answer), default=0)
        scores = np.full((len(answer), width), -1, dtype=np.float32)
        ids = np.full((len(answer), width), -1, dtype=np.int64)
        for i, hits in enumerate(answer):
            scores[i, : len(hits)] = [hit.score for hit in hits]
            ids[i, : len(hits)] = [hit.id for hit in hits]
        return scores, ids

    def held(self) -> tuple[Ids, Ids]:
        with self._lock:
            return (
                np.asarray(list(self._digests), dtype=np.int64),
                np.asarray(list(self._digests.values()), dtype=np.int64),
            )

    def maintain(self, position: int) -> bool:
        """Notes in the table how far the collection has got, if it holds what it should.

        Raises :class:`NotReadyError` if rows are missing or too many, or another process
        writes: the index is then closed.
        """
        with self._lock:
            self._check_open()
            name = self._collection.name
            row = self._table.all().get(name)
            if row is None or row.writer != self._about.writer:
                self._closed = True
                raise NotReadyError(f"another access point has begun to write {name}")
            if (count := self._collection.count()) != len(self):
                self._closed = True
                wrong = {"position": 0, "complete": False}
                self._table.write(name, self._about.model_copy(update=wrong))
                raise NotReadyError(f"{name} has {count} rows and should have {len(self)}")
            changes = {"position": position, "complete": True} | self._counts()
            about = self._about.model_copy(update=changes)
            if about != self._about:
                self._table.write(name, about)
                self._about = about
        return True

    def _counts(self) -> dict[str, int]:
        """Returns the size of the gallery once a minute, as counting takes a while at millions."""
        if (now := time.monotonic()) >= self._count_next:
            self._count_next = now + 60
            subjects, entries = self._store.counts()
            return {"subjects": subjects, "entries": entries}
        return {}

    def purge(self, ids: Ids) -> None:
        """Removes entries, and asks the server to rewrite the segments that have them, which
        it does in its own time."""
        self.remove(ids)
        self._collection.flush()
        self._collection.compact()

    @property
    def complete(self) -> bool:
        """Whether readers know that it holds what it should."""
        return self._about.complete and not self._closed

    @property
    def closed(self) -> bool:
        """Whether it was closed, by :meth:`close` or because it was found to be wrong."""
        return self._closed

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise NotReadyError(f"{self._collection.name} is being opened again")
