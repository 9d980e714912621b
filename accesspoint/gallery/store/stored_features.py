"""Features as the store keeps them, each compared with its digest whenever it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accesspoint.gallery.records import digest
from accesspoint.gallery.store.database import IDS_AT_ONCE, Database
from accesspoint.gallery.store.quarantine import Quarantine

ALTERED = "its stored feature is not the one that was enrolled"
Row = tuple[int, int, bytes | None]
"""Entry number, digest, feature as little-endian float32; None where it is missing."""


@dataclass(frozen=True)
class Features:
    """Entries of one space with what an index is made of."""

    ids: NDArray[np.int64]
    digests: NDArray[np.int64]
    features: NDArray[np.float32]
    """Raw features, (n, feature_dim)."""


class StoredFeatures:
    """Reads features; damaged ones go into the quarantine and are left out."""

    def __init__(self, database: Database, quarantine: Quarantine) -> None:
        self._database = database
        self._quarantine = quarantine

    def of(self, ids: Sequence[int], space_id: str = "") -> Features:
        """Returns features as :meth:`accesspoint.gallery.store.store.Store.features` does."""
        return self._checked(self.as_stored(ids, space_id))

    def as_stored(self, ids: Sequence[int], space_id: str = "") -> list[Row]:
        """Returns what is stored of these entries, damaged or not."""
        rows: list[Row] = []
        for start in range(0, len(ids), IDS_AT_ONCE):
            batch = tuple(ids[start : start + IDS_AT_ONCE])
            rows += self._database.rows(
                "SELECT e.id, e.digest, f.data FROM entries e LEFT JOIN features f "
                f"ON f.entry = e.id WHERE e.id IN ({','.join('?' * len(batch))}) "
                "AND ? IN ('', e.space_id)",
                (*batch, space_id),
            )
        return rows

    def chunks(self, space_id: str, chunk: int) -> Iterator[Features]:
        """Yields all features of a space in chunks of at most ``chunk``, by number."""
        for rows in self.rows(space_id, chunk):
            if len((features := self._checked(rows)).ids):
                yield features

    def rows(self, space_id: str, chunk: int) -> Iterator[list[Row]]:
        """Yields everything that is stored of a space as it stands, damaged or not."""
        after = 0
        while rows := self._database.rows(
            "SELECT e.id, e.digest, f.data FROM entries e LEFT JOIN features f "
            "ON f.entry = e.id WHERE e.space_id = ? AND e.id > ? ORDER BY e.id LIMIT ?",
            (space_id, after, chunk),
        ):
            after = rows[-1][0]
            yield rows

    def _checked(self, rows: list[Row]) -> Features:
        damaged = altered(rows)
        if damaged:
            self._quarantine.put(dict.fromkeys(damaged, ALTERED))
        if damaged or self._quarantine.ids:
            rows = [row for row in rows if row[0] not in self._quarantine]
        return _features(rows)


def altered(rows: Iterable[Row]) -> list[int]:
    """Returns the entries whose feature does not have the digest that it was stored with."""
    return [number for number, expected, data in rows if data is None or digest(data) != expected]


def _features(rows: list[Row]) -> Features:
    rows = sorted(rows)
    features = [np.frombuffer(data or b"", dtype="<f4") for _, _, data in rows]
    return Features(
        np.asarray([number for number, _, _ in rows], dtype=np.int64),
        np.asarray([digest for _, digest, _ in rows], dtype=np.int64),
        np.stack(features).astype(np.float32) if rows else np.zeros((0, 0), np.float32),
    )
