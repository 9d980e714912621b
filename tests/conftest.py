"""Fixtures that many tests share: the demo bundle and a few synthetic people."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from airreid.bundle import Bundle, default_bundle_path, load_bundle
from airreid.datasets.synthetic.population import Population, write_folder
from airreid.inference import BackboneRunner

# The time of one example says how busy the machine is, not whether the code is right.
settings.register_profile("airreid", deadline=None)
settings.load_profile("airreid")


@pytest.fixture(autouse=True, scope="session")
def no_proxy() -> None:
    """Takes a company's proxy out of the environment: all that tests call is on this machine."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            del os.environ[name]


@pytest.fixture(autouse=True, scope="module")
def closed_galleries() -> Iterator[None]:
    """A module closes the galleries that it opens: their upkeep would go on in the next one's."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name == "gallery-maintenance":
            thread.join(10)  # that of a store which was closed ends by itself
            assert not thread.is_alive(), "a gallery was opened and not closed"


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return load_bundle(default_bundle_path())


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 people, 2 cameras, 3 shots: ``<identity>/<camera>/<image>``."""
    folder = tmp_path_factory.mktemp("people")
    write_folder(Population(seed=77, identities=12, cameras=2, shots=3), folder)
    return folder


@pytest.fixture(scope="session")
def features(bundle: Bundle, people: Path) -> np.ndarray:
    """float32 (72, 2048), in the order of the files' paths."""
    from airreid.images import load, to_crop

    runner = BackboneRunner(bundle, bundle.backbone, threads=2)
    crops = [to_crop(load(path)) for path in sorted(people.rglob("*.png"))]
    return np.concatenate([runner.features(crop[None]) for crop in crops])
