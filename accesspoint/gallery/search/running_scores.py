"""Scores of a block whose pieces come one after another, so that a piece costs only itself.

Inner products of pieces add up. The products with all entries are kept between the pieces of a
block, in bounded memory; without them the next search begins with the first piece again.
"""

from __future__ import annotations

import threading
import weakref
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from accesspoint.gallery.search.index import Array, Ids
from accesspoint.gallery.search.largest import largest_of_row
from accesspoint.gallery.search.segment import FlatSegment

MEMORY_MAX = 128 << 20
"""Bytes of scores that are kept for all open blocks together, at most."""


class OpenBlockMemory:
    """Bytes that open blocks take, counted; safe in any thread."""

    def __init__(self, limit: int = MEMORY_MAX) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._held

    def take(self, size: int) -> bool:
        """Counts bytes in; returns whether there was room for them."""
        with self._lock:
            if self._held + size > self._limit:
                return False
            self._held += size
            return True

    def give_back(self, size: int) -> None:
        """Counts bytes out."""
        with self._lock:
            self._held -= size


class RunningScores:
    """Products of one block's pieces so far with every entry; they go with their owner."""

    def __init__(self, memory: OpenBlockMemory) -> None:
        self._memory = memory
        self._rows: weakref.ref[ScoredRows] | None = None
        """Weak, lest an open block holds entries that were deleted meanwhile."""
        self._heard: Array | None = None
        self._products: Array | None = None
        self._released: weakref.finalize[[int], RunningScores] | None = None

    def columns_done(self, rows: ScoredRows, embedding: Array) -> int:
        """Returns how many leading columns of an embedding (dim,) are in the products.

        None are where entries have changed since, or a piece has: it was combined with another.
        """
        heard = self._heard
        if heard is None or self._rows is None or self._rows() is not rows:
            return 0
        same = len(embedding) >= len(heard) and (embedding[: len(heard)] == heard).all()
        return len(heard) if same else 0

    def products(self) -> Array:
        """Returns the products (rows,) that :meth:`keep` was given last."""
        assert self._products is not None
        return self._products

    def keep(self, rows: ScoredRows, heard: Array, products: Array) -> None:
        """Keeps products (rows,) of the columns heard, as far as memory reaches."""
        if self._products is None or self._products.nbytes != products.nbytes:
            self.drop()
            if not self._memory.take(products.nbytes):
                return
            self._released = weakref.finalize(self, self._memory.give_back, products.nbytes)
            self._released.atexit = False
        self._rows, self._heard, self._products = weakref.ref(rows), heard, products

    def drop(self) -> None:
        """Gives the memory back."""
        self._rows = self._heard = self._products = None
        if self._released is not None:
            self._released()
            self._released = None


class ScoredRows:
    """Rows of flat segments that products are kept for, as one state of an index has them."""

    def __init__(self, segments: Sequence[FlatSegment], dead: Ids) -> None:
        self.segments = segments
        self.ids = np.concatenate([np.zeros(0, np.int64), *(s.ids for s in segments)])
        self._dead = np.flatnonzero(np.isin(self.ids, dead))
        self.live = len(self.ids) - len(self._dead)

    def add_products(self, embeddings: Array, running: Sequence[RunningScores]) -> list[Array]:
        """Returns products (rows,) of embeddings (n, dim) with the rows, and keeps them.

        An embedding's trailing zeros are pieces that were not heard.
        """
        ends = [int(heard[-1]) + 1 if len(heard := row.nonzero()[0]) else 0 for row in embeddings]
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for place, (scores, end) in enumerate(zip(running, ends, strict=True)):
            groups[scores.columns_done(self, embeddings[place]), end].append(place)
        totals: list[Array] = [np.zeros(0, np.float32)] * len(ends)
        for (begin, end), places in groups.items():
            lone = len(places) == 1  # as it is, without a copy
            chosen = slice(places[0], places[0] + 1) if lone else places
            new = self._products(np.ascontiguousarray(embeddings[chosen, begin:end]), begin, end)
            for place, products in zip(places, new, strict=True):
                if begin:
                    products += running[place].products()
                totals[place] = products
                running[place].keep(self, embeddings[place, :end].copy(), products)
        return totals

    def _products(self, columns: Array, begin: int, end: int) -> list[Array]:
        """Returns the products of embeddings' columns (n, end - begin), an array each."""
        if not self.segments:
            return [np.zeros(0, np.float32)] * len(columns)
        parts = [columns @ segment.vectors[:, begin:end].T for segment in self.segments]
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return [row.copy() for row in whole] if len(whole) > 1 else [whole[0]]

    def best(self, products: Array, length: float, k: int) -> tuple[Array, Ids]:
        """Returns cosines and ids of the k best rows (min(k, live),), best first, ties by id.

        ``length``: the embedding's.
        """
        if len(self._dead):
            products = products.copy()
            products[self._dead] = -np.inf
        k = min(k, self.live)
        if k == 0:
            return np.zeros(0, np.float32), np.zeros(0, np.int64)
        places = largest_of_row(products, self.ids, k)
        return products[places] / np.float32(max(length, 1e-12)), self.ids[places]
