"""Descriptors: how many connections fit, and what is no damage."""

from __future__ import annotations

import errno
import logging
import resource
import subprocess
import sys

import pytest

from airreid import log
from airreid.descriptors import RESERVED, budget, is_exhausted, raise_limit


@pytest.mark.parametrize("limit", [64, 256, 1024, 4096, 65_536])
def test_connections_leave_room_for_everything_else(limit: int) -> None:
    room = budget(limit, 4096, 512)
    assert room.grpc >= 16
    assert room.http >= 16
    if limit >= 256:
        assert room.grpc + room.http + RESERVED <= limit
    if limit >= 65_536:
        assert room == (4096, 512)


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    text = (
        "import resource; from airreid.descriptors import raise_limit\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))\n"
        "assert raise_limit() == 300 == resource.getrlimit(resource.RLIMIT_NOFILE)[0]\n"
    )
    subprocess.run([sys.executable, "-c", text], check=True)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_limit() >= min(before[0], 65_536)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_want_of_descriptors_is_no_damage() -> None:
    exhausted = OSError(errno.EMFILE, "Too many open files")
    assert is_exhausted(exhausted)
    wrapped = ValueError("unreadable")
    wrapped.__cause__ = exhausted
    assert is_exhausted(wrapped)
    assert not is_exhausted(OSError(errno.ENOENT, "none"))
    assert not is_exhausted(ValueError("its checksum differs"))
    assert not is_exhausted(None)


def record(name: str) -> logging.LogRecord:
    entry = logging.LogRecord("airreid", logging.WARNING, "", 0, name, (), None)
    entry.fields = {"file": "a"}
    return entry


def test_an_event_that_comes_all_the_time_is_written_now_and_then() -> None:
    now = 0.0
    rate = log.RateLimit(lambda: now)
    written = sum(rate.filter(record("evil")) for _ in range(10_000))
    assert written == log.BURST
    assert rate.filter(record("good"))
    now = 10.0
    later = [record("evil") for _ in range(1000)]
    passed = [entry for entry in later if rate.filter(entry)]
    assert len(passed) == 10 * log.PER_SECOND
    assert passed[0].fields == {"file": "a", "suppressed": 10_000 - log.BURST}
    assert passed[1].fields == {"file": "a"}
    for number in range(100_000):
        rate.filter(record(f"event {number}"))
    assert len(rate._rates) <= 257
