"""A soak of some seconds: everything is counted, and what is lost would be seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak import run
from benchmarks.soak_load import Counts, Settings


def test_faults_are_what_must_be_zero() -> None:
    assert Counts(answers=5, kills=2, refused=3).faults() == {}
    assert Counts(lost_blocks=1, not_found=2).faults() == {"lost_blocks": 1, "not_found": 2}


@pytest.mark.slow
def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    shares: list[float] = []
    settings = Settings(minutes=0.7, streams=10, entries=256, kill_seconds=8)
    report = run(settings, tmp_path, shares.append)
    counts = report["counts"]
    assert report["faults"] == {}
    assert counts["kills"] >= 2
    assert counts["answers"] == counts["blocks"] > 100
    assert counts["enrolled"] > 0
    assert counts["searches"] > 0
    assert shares == sorted(shares)
