"""A soak of some seconds: everything is counted, and what is lost would be seen."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.soak import run
from benchmarks.soak_load import Counts, Settings
from benchmarks.stepped_clock import SteppedClock


def test_faults_are_what_must_be_zero() -> None:
    assert Counts(answers=5, kills=2, refused=3).faults() == {}
    assert Counts(lost_blocks=1, not_found=2).faults() == {"lost_blocks": 1, "not_found": 2}


def test_steps_move_the_clock_that_a_process_asks_and_no_other(tmp_path: Path) -> None:
    clock = SteppedClock(tmp_path / "clock")
    asking = (
        "import sys, time; from pathlib import Path; from benchmarks import stepped_clock; "
        "stepped_clock.follow(Path(sys.argv[1])); "
        "print(time.time(), time.monotonic(), flush=True); input(); "
        "print(time.time(), time.monotonic())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", asking, str(clock.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        before = [float(word) for word in process.stdout.readline().split()]
        clock.step(-86_400.0)
        stepped, asked = clock.time(), time.monotonic()
        process.stdin.write("\n")
        process.stdin.flush()
        after = [float(word) for word in process.stdout.readline().split()]
    assert stepped <= after[0] < before[0] - 80_000
    assert before[1] <= asked <= after[1]


@pytest.mark.slow
def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    shares: list[float] = []
    settings = Settings(minutes=0.7, streams=10, entries=256, kill_seconds=8, step_seconds=5)
    report = run(settings, tmp_path, shares.append)
    counts = report["counts"]
    assert report["faults"] == {}
    assert counts["kills"] >= 2
    assert counts["clock_steps"] >= 3
    assert counts["answers"] == counts["blocks"] > 100
    assert counts["enrolled"] > 0
    assert counts["searches"] > 0
    assert shares == sorted(shares)
