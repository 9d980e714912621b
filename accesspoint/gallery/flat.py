"""Exact search by cosine similarity over the embeddings of one scheme, in memory."""

from __future__ import annotations

import threading

import faiss
import numpy as np

from accesspoint.gallery.index import Array, Ids
from airreid.signal import unit_rows


class FlatIndex:
    """Exact inner product over unit vectors (FAISS flat), one call at a time."""

    def __init__(self, dim: int) -> None:
        faiss.omp_set_num_threads(1)
        self._lock = threading.Lock()
        self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))
        self._digests: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._digests)

    def add(self, ids: Ids, digests: Ids, embeddings: Array) -> None:
        with self._lock:
            self._index.add_with_ids(unit_rows(embeddings), ids)
            self._digests |= dict(zip(ids.tolist(), digests.tolist(), strict=True))

    def remove(self, ids: Ids) -> None:
        with self._lock:
            self._index.remove_ids(faiss.IDSelectorBatch(ids))
            for number in ids.tolist():
                self._digests.pop(number, None)

    def moved(self, ids: Ids) -> None:
        pass

    def search(self, embeddings: Array, k: int) -> tuple[Array, Ids]:
        with self._lock:
            k = min(k, len(self))
            if k == 0:
                empty = (len(embeddings), 0)
                return np.zeros(empty, np.float32), np.zeros(empty, np.int64)
            scores, ids = self._index.search(unit_rows(embeddings), k)
        order = np.lexsort((ids, -scores), axis=1)
        return np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)

    def held(self) -> tuple[Ids, Ids]:
        with self._lock:
            return (
                np.asarray(list(self._digests), dtype=np.int64),
                np.asarray(list(self._digests.values()), dtype=np.int64),
            )

    def maintain(self, position: int) -> bool:
        return False

    def purge(self, ids: Ids) -> None:
        pass

    def close(self) -> None:
        pass
