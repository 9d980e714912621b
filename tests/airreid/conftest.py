"""An access point and a channel in front of it, as real processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from simulation.processes import Role

ANY = "127.0.0.1:0"


@dataclass(frozen=True)
class Services:
    """HOST:PORT of both."""

    access_point: str
    channel: str


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """An access point with an empty gallery, and a channel with its default settings."""
    data = str(tmp_path_factory.mktemp("gallery"))
    serve = ["ap", "serve", "--data-dir", data, "--grpc", ANY, "--http", ANY]
    with Role("access point", serve) as ap:
        target = f"127.0.0.1:{ap.ready['grpc_port']}"
        link = ["channel", "serve", "--listen", ANY, "--upstream", target]
        with Role("channel", link) as channel:
            yield Services(target, f"127.0.0.1:{channel.ready['grpc_port']}")
