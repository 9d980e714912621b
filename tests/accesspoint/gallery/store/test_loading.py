"""Loading in the background."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from accesspoint.errors import NotReadyError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle

from ..damage import damaged_file


def test_a_large_file_is_checked_while_loading(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("accesspoint.gallery.store.database._CHECKED_AT_ONCE", 1)
    path = damaged_file(tmp_path)
    store = Store(path)
    gallery = Gallery(store, bundle, threads=1)
    assert not gallery.wait_ready()
    with pytest.raises(NotReadyError, match="damaged"):
        gallery.search("features", np.ones((1, 2048), np.float32), 1, 1)
    with pytest.raises(NotReadyError, match="damaged"):
        gallery.delete_entries([1])
    gallery.close()
    store.close()


def test_loading_does_not_hold_up_the_process(
    store: Store, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    go_on = threading.Event()
    original = Store.owners

    def slow(self: Store, space_id: str, after: int, limit: int) -> list[tuple[int, str, str, int]]:
        go_on.wait(30)
        return original(self, space_id, after, limit)

    monkeypatch.setattr(Store, "owners", slow)
    gallery = Gallery(store, bundle, threads=1)
    assert not gallery.ready
    assert gallery.counts() == (0, 0)
    go_on.set()
    assert gallery.wait_ready()
    gallery.close()
