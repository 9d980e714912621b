from __future__ import annotations

from collections.abc import Iterator

import pytest

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle

from .short_features import DIM, Opener


@pytest.fixture
def opened(store: Store, bundle: Bundle) -> Iterator[Opener]:
    """Opens the store with a bundle of a feature space and 16 values a feature."""
    galleries: list[Gallery] = []

    def opened(space_id: str) -> Gallery:
        if galleries:
            galleries.pop().close()
        backbone = bundle.backbone.model_copy(update={"space_id": space_id, "feature_dim": DIM})
        manifest = bundle.manifest.model_copy(update={"backbones": (backbone,)})
        galleries.append(Gallery(store, Bundle(bundle.path, manifest, "tiny"), threads=1))
        galleries[-1].wait_ready()
        return galleries[-1]

    yield opened
    galleries.pop().close()
