"""A kill takes nothing that was acknowledged; what is deleted does not come back."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from airreid import wire
from airreid.bundle import Bundle
from airreid.client import GalleryClient, ok
from airreid.errors import LinkError
from airreid.v1 import gallery_pb2
from simulation.processes import Role

from .conftest import ANY, access_point, channel, target


def items(space: str, first: int) -> Iterator[gallery_pb2.EnrollItem]:
    """One new person after another, without end."""
    rng = np.random.default_rng(first)
    for number in itertools.count(first):
        values = wire.to_bytes(rng.standard_normal(2048))
        feature = gallery_pb2.Feature(space_id=space, values=values)
        yield gallery_pb2.EnrollItem(subject=f"p{number}", camera="c", feature=feature)


def test_kill_loses_no_acknowledged_enrolment(tmp_path: Path, bundle: Bundle) -> None:
    space = bundle.backbone.space_id
    acknowledged: set[str] = set()
    deleted: set[str] = set()
    for round_number in range(3):
        with access_point(tmp_path) as ap:
            with GalleryClient(target(ap)) as client:
                present = {subject.id for subject in client.subjects()}
                assert acknowledged - deleted <= present
                assert not deleted & present
                if round_number:
                    victim = sorted(acknowledged - deleted)[0]
                    client.delete_subject(victim)
                    deleted.add(victim)
                before = len(acknowledged)
                with pytest.raises(LinkError):  # noqa: PT012
                    for item, result in client.enrol(items(space, round_number * 100_000)):
                        assert ok(result.status)
                        acknowledged.add(item.subject)
                        if len(acknowledged) - before == 100:
                            ap.process.send_signal(signal.SIGKILL)
            assert ap.process.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("name", ["access point", "channel", "edge"])
def test_term_ends_every_role_cleanly(tmp_path: Path, name: str) -> None:
    role = {
        "access point": lambda: access_point(tmp_path),
        "channel": lambda: channel("127.0.0.1:1"),
        "edge": lambda: Role("edge", ["edge", "serve", "--listen", ANY, "--to", "127.0.0.1:1"]),
    }[name]()
    with role:
        role.process.terminate()
        assert role.process.wait(15) == 0
