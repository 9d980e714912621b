"""Ways to make an index equal to the store, from whatever it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from accesspoint.gallery.search.index import Array, Index
from accesspoint.gallery.store.store import Store
from accesspoint.gallery.store.stored_features import Features
from airreid.bundle import Bundle

Embed = Callable[[Array], Array]
_CHUNK = 2048
FEATURES = "features"
"""Stands in place of a scheme id for the raw features of the backbone."""


def scheme_digest(bundle: Bundle, scheme_id: str) -> str:
    """Returns the hex SHA-256 over the files and the map that make a scheme's gallery
    embeddings; empty for ``features``."""
    if scheme_id == FEATURES:
        return ""
    info = bundle.scheme(scheme_id)
    parts = [info.kind, info.gallery, *(ref.sha256 for ref in info.files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def reconcile(index: Index, store: Store, space_id: str, embed: Embed) -> None:
    """Removes from an index what the store does not have, and adds what is missing.

    Entries are compared by number and digest, so an index of another file, or of this
    one before a backup was restored, comes right as well.
    """
    ids, digests = store.ids_and_digests(space_id)
    held_ids, held_digests = index.held()
    order = np.argsort(ids)
    ids, digests = ids[order], digests[order]
    place = np.searchsorted(ids, held_ids)
    same = np.zeros(len(held_ids), dtype=bool)
    inside = place < len(ids)
    same[inside] = (ids[place[inside]] == held_ids[inside]) & (
        digests[place[inside]] == held_digests[inside]
    )
    if not same.all():
        index.remove(held_ids[~same])
    missing = np.setdiff1d(ids, held_ids[same], assume_unique=True)
    if np.isin(held_ids[~same], missing).any():  # numbers that come again, for others
        index.purge(held_ids[~same])
    if len(missing) == len(ids):
        for features in store.all_features(space_id, _CHUNK):
            _add(index, features, embed)
        return
    for start in range(0, len(missing), _CHUNK):
        _add(index, store.features(missing[start : start + _CHUNK].tolist()), embed)


def replay(index: Index, store: Store, space_id: str, after: int, embed: Embed) -> None:
    """Applies the changes after a position of the log.

    Raises :class:`airreid.errors.InputError` if the log no longer reaches back so far.
    """
    held = {int(number) for number in index.held()[0]}
    while changes := store.log.changes(after, _CHUNK):
        after = changes[-1].seq
        deleted = [c.entry for c in changes if c.kind == "delete" and c.entry in held]
        index.remove(np.asarray(deleted, dtype=np.int64))
        added = [c.entry for c in changes if c.kind == "add" and c.entry not in held]
        held.update(added)
        _add(index, store.features(added, space_id), embed)
        index.moved(np.asarray([c.entry for c in changes if c.kind == "move"], dtype=np.int64))


def _add(index: Index, features: Features, embed: Embed) -> None:
    if len(features.ids):
        index.add(features.ids, features.digests, embed(features.features))
