from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "gallery.sqlite")
    yield store
    store.close()


@pytest.fixture
def gallery(store: Store, bundle: Bundle) -> Iterator[Gallery]:
    gallery = Gallery(store, bundle, threads=1)
    yield gallery
    gallery.close()
