from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .milvus_lite_server import MilvusLite


@pytest.fixture(scope="session")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusLite]:
    """One server for all tests, which use names of their own on it."""
    server = MilvusLite(tmp_path_factory.mktemp("milvus"))
    yield server
    server.kill()


@pytest.fixture
def own_lite(tmp_path: Path) -> Iterator[MilvusLite]:
    """A server for one test, which may kill it."""
    server = MilvusLite(tmp_path / "milvus")
    yield server
    server.kill()
