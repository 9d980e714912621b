"""Change of model: entries of a new feature space beside the old ones, then a switch.

Each batch is a transaction, and an entry of the new space names the one that it was made
from, so that a run which was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accesspoint.errors import NotFoundError
from accesspoint.gallery.maintenance.archive_format import Tick
from accesspoint.gallery.records import Entry, NewEntry
from accesspoint.gallery.store import feature_spaces
from accesspoint.gallery.store.store import Store
from airreid.errors import InputError

Encode = Callable[[Sequence[bytes]], NDArray[np.float32]]
"""Image files -> features of the bundle's space, float32 (n, feature_dim). Raises
:class:`InputError` for one that cannot be read."""
Enrol = Callable[[Sequence[NewEntry], Sequence[int]], object]
_FAILURES = 100


@dataclass(frozen=True)
class ReindexReport:
    """Outcome of a reindex, and the subjects that it leaves to people."""

    encoded: int
    """Entries made in this run."""
    failed: tuple[tuple[int, str], ...]
    """Entries whose thumbnail could not be encoded, and why; the first hundred."""
    unserved: tuple[str, ...]
    """Subjects with entries of the old space only; the first hundred."""
    unserved_count: int
    switched: bool
    """The new space is served. False: some subjects would be lost; see ``unserved``."""


def encode_all(
    store: Store,
    old: str,
    new: str,
    encode: Encode,
    enrol: Enrol,
    tick: Tick,
    model_digest: str = "",
    batch: int = 16,
) -> tuple[int, list[tuple[int, str]]]:
    """Makes entries of the new space from thumbnails of the old, where there are none yet.

    Returns how many were made, and which could not be, with the reason.
    """
    encoded, failed, after = 0, list[tuple[int, str]](), 0
    total = feature_spaces.awaiting_count(store.database, old, new)
    tick(0, total)
    while ids := feature_spaces.awaiting(store.database, old, new, after, batch):
        after = ids[-1]
        waiting = [entry for number in ids if (entry := store.entry(number)) is not None]
        try:
            encoded += _encode(store, waiting, new, encode, enrol, model_digest)
        except InputError:  # one of them: each by itself shows which
            for entry in waiting:
                try:
                    encoded += _encode(store, [entry], new, encode, enrol, model_digest)
                except NotFoundError:
                    pass  # deleted meanwhile
                except InputError as error:
                    failed.append((entry.id, str(error)))
        tick(min(total, encoded + len(failed)), total)
    return encoded, failed[:_FAILURES]


def _encode(
    store: Store,
    entries: Sequence[Entry],
    space_id: str,
    encode: Encode,
    enrol: Enrol,
    model_digest: str,
) -> int:
    images = [(entry, image) for entry in entries if (image := store.thumbnail(entry.id))]
    if not images:
        return 0
    features = encode([image for _, image in images])
    new = [
        NewEntry(
            entry.subject,
            entry.camera,
            space_id,
            row,
            captured_at=entry.captured_at,
            quality=entry.quality,
            expires_at=entry.expires_at,
            model_digest=model_digest,
            key=entry.key,
        )
        for (entry, _), row in zip(images, features, strict=True)
    ]
    enrol(new, [entry.id for entry, _ in images])
    return len(new)
