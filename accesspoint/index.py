"""Search by cosine similarity over the embeddings of one scheme."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from airreid.signal import unit_rows


class EmbeddingIndex:
    """Exact inner product over unit vectors (FAISS flat).

    Not safe in several threads: searching while adding crashes FAISS, so the owner
    holds a lock around every call.
    """

    def __init__(self, dim: int) -> None:
        faiss.omp_set_num_threads(1)
        self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: NDArray[np.int64], embeddings: NDArray[np.float32]) -> None:
        """ids (n,), none of them in the index yet; embeddings (n, dim) of any length."""
        self._index.add_with_ids(unit_rows(embeddings), ids)

    def remove(self, ids: list[int]) -> None:
        """Ids that are not there are passed over."""
        if ids:
            self._index.remove_ids(faiss.IDSelectorBatch(np.asarray(ids, dtype=np.int64)))

    def search(
        self, embeddings: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Cosine scores and ids, each (n, min(k, len(self))), best first, ties by id."""
        k = min(k, len(self))
        if k == 0:
            empty = (len(embeddings), 0)
            return np.zeros(empty, np.float32), np.zeros(empty, np.int64)
        scores, ids = self._index.search(unit_rows(embeddings), k)
        order = np.lexsort((ids, -scores), axis=1)
        return np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)
