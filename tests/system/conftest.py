"""Real processes on free loopback ports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airreid.client import GalleryClient, ok
from airreid.crop_folder import read_folder
from airreid.v1 import gallery_pb2
from simulation.processes import Role

ANY = "127.0.0.1:0"


def access_point(data: Path, *extra: str) -> Role:
    arguments = ["ap", "serve", "--data-dir", str(data), "--grpc", ANY, "--http", ANY]
    return Role("access point", [*arguments, *extra])


def target(role: Role) -> str:
    return f"127.0.0.1:{role.ready['grpc_port']}"


def channel(upstream: str, *extra: str) -> Role:
    return Role("channel", ["channel", "serve", "--listen", ANY, "--upstream", upstream, *extra])


@dataclass
class System:
    ap: Role
    channel: Role

    @property
    def ap_target(self) -> str:
        return target(self.ap)

    @property
    def channel_target(self) -> str:
        return target(self.channel)


@pytest.fixture(scope="session")
def system(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """An access point with cam-0's pictures enrolled, and a channel at 15 dB, seed 4."""
    with access_point(tmp_path_factory.mktemp("data")) as ap:
        crops = [crop for crop in read_folder(people) if crop.camera == "cam-0"]
        items = (
            gallery_pb2.EnrollItem(subject=c.identity, camera=c.camera, image=c.path.read_bytes())
            for c in crops
        )
        with GalleryClient(target(ap)) as client:
            assert all(ok(result.status) for _, result in client.enrol(items))
        with channel(target(ap), "--snr", "15", "--seed", "4") as link:
            yield System(ap, link)
