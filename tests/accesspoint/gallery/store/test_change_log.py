"""The log of changes, and who reads it."""

from __future__ import annotations

import pytest

from accesspoint.gallery.store.store import Store
from airreid.errors import InputError

from ..short_features import new


def test_the_log_is_cut_behind_its_readers(store: Store) -> None:
    for seed in range(6):
        store.add_entries([new("a", seed)])
    store.delete_entries([2])
    assert [(c.seq, c.kind, c.entry) for c in store.log.changes(4, 9)] == [
        (5, "add", 5),
        (6, "add", 6),
        (7, "delete", 2),
    ]
    store.log.set_consumed("one", 3)
    store.log.set_consumed("two", 5)
    assert store.log.changes(3, 1)[0].seq == 4
    with pytest.raises(InputError, match="no longer reaches back to 2"):
        store.log.changes(2, 9)
    store.log.set_consumed("one", 7)
    assert [c.seq for c in store.log.changes(5, 9)] == [6, 7]
    store.log.drop_consumer("two")
    store.log.set_consumed("one", 7)
    assert store.log.changes(7, 9) == []
    assert store.log.position == 7
    with pytest.raises(InputError, match="no longer reaches back"):
        store.log.changes(5, 9)  # cut off whole, and still known to have been longer
    store.add_entries([new("a", 9)])
    assert [c.seq for c in store.log.changes(7, 9)] == [8]
