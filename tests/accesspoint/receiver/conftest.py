from __future__ import annotations

import numpy as np
import pytest

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from airreid.bundle import Bundle

from ...nested_bundle import nested_bundle
from .support import Blocks, Gated, people

PEOPLE = 20


@pytest.fixture
def full(gallery: Gallery) -> Gallery:
    """People p0, p1, ... of random features."""
    features = people(PEOPLE)
    gallery.enrol([NewEntry(f"p{i}", "c", gallery.space_id, f) for i, f in enumerate(features)])
    return gallery


@pytest.fixture
def receiver(bundle: Bundle, full: Gallery) -> Gated:
    return Gated(bundle, full)


@pytest.fixture(scope="session")
def blocks(bundle: Bundle) -> Blocks:
    return Blocks(bundle, people(PEOPLE))


@pytest.fixture(scope="session")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of one nested scheme, with a stopping rule."""
    return nested_bundle(tmp_path_factory.mktemp("nested"))


@pytest.fixture(scope="session")
def features() -> np.ndarray:
    """float32 (72, 2048), random: no backbone is needed here."""
    return people(72)
