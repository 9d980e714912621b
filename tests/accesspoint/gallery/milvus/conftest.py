from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .milvus_servers import LocalMilvus, MilvusLite, MilvusStandalone

KINDS = ["lite", pytest.param("standalone", marks=pytest.mark.slow)]
"""Milvus Lite, and in the slow tests the real server."""


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The real server's programs, unpacked."""
    if not MilvusStandalone.available():
        pytest.skip("the real Milvus is not installed: pip install -e '.[milvus-server]'")
    MilvusStandalone.unpack(tmp_path_factory.mktemp("milvus-bin") / "bin")


def started(kind: str, folder: Path, request: pytest.FixtureRequest) -> LocalMilvus:
    if kind == "lite":
        return MilvusLite(folder)
    request.getfixturevalue("programs")
    return MilvusStandalone(folder)


@pytest.fixture(scope="session", params=KINDS)
def shared_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalMilvus]:
    """One server for all tests, which use names of their own on it."""
    server = started(request.param, tmp_path_factory.mktemp("milvus"), request)
    yield server
    server.kill()


@pytest.fixture(params=KINDS)
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalMilvus]:
    """A server for one test, which may kill it."""
    folder = tmp_path / "milvus"
    folder.mkdir()
    server = started(request.param, folder, request)
    yield server
    server.kill()
