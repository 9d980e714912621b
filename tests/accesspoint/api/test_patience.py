"""Long work in a thread lets others run in between."""

from __future__ import annotations

import time

import pytest

from accesspoint.api import patience


def test_work_of_many_values_sleeps_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)

    def work(value: int) -> int:
        until = time.perf_counter() + 2 * patience.BUSY_SECONDS
        while time.perf_counter() < until:
            pass
        return value + 1

    assert patience.patiently(work, range(5)) == [1, 2, 3, 4, 5]
    assert slept == [patience.BUSY_SECONDS] * 5
