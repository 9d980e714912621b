"""Blocks in pieces while every role is killed in turn: each accepted frame has one answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airreid.client import GalleryClient, ok
from airreid.v1 import gallery_pb2
from simulation.processes import Role

from .support import picture
from .test_processes import Place, keep_killing

PEOPLE = 7
"""People of the load's pictures."""


class PiecePlace(Place):
    """Roles of a place, with a nested scheme through much noise."""

    def start(self, name: str, *extra: str) -> Role:
        options = {
            "edge": ("--scheme", "jscc-nested-256", "--bandwidth", "auto"),
            "channel": ("--snr", "-4"),
        }
        return super().start(name, *options.get(name, ()), *extra)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[PiecePlace]:
    with ExitStack() as stack:
        yield PiecePlace(tmp_path, stack)


@pytest.mark.slow
def test_killing_every_role_loses_doubles_and_mixes_nothing(place: PiecePlace) -> None:
    place.start("ap")
    with GalleryClient(f"127.0.0.1:{place.ap_port}") as client:
        items = (
            gallery_pb2.EnrollItem(subject=f"p{number}", camera="c", image=picture(number))
            for number in range(PEOPLE)
        )
        assert all(ok(result.status) for _, result in client.enrol(items))
    place.kill("ap")
    keep_killing(place, 100, lambda number: ("edge", "channel", "ap", "edge")[number % 4])
    rows = place.log()
    assert {row["uses"] for row in rows} <= set(range(32, 257, 32))
    assert len({row["uses"] for row in rows}) > 1
    right = []
    for row in rows:
        identities = row["identities"]
        assert isinstance(identities, list)
        if row["source"] == "watch":
            number = int(str(row["name"]).partition("__")[2].removesuffix(".png"))
            right.append(identities[0]["identity"] == f"p{number % PEOPLE}")
    assert sum(right) > 0.9 * len(right)  # noise alone takes a few in a hundred
