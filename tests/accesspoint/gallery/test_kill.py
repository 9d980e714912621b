"""kill -9 while the gallery enrols, deletes, merges and writes snapshots, many times over."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Log:
    """Lines of the processes of all rounds; the last about an entry counts."""

    enrolled: dict[int, int] = field(default_factory=dict)
    begun: int = 0
    deleting: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    starts: int = 0

    def hear(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "enrol":
            self.begun += 1
        elif word == "enrolled":
            token, number = map(int, rest.split())
            assert number not in self.enrolled, "a number was given twice"
            self.enrolled[number] = token
        elif word == "delete":
            self.deleting.add(int(rest))
        elif word == "deleted":
            self.deleted.add(int(rest))
        elif word == "found":
            store, index = (json.loads(part) for part in rest.split())
            self.check(store, index)
        else:
            self.wrong.append(line)

    def check(self, store: list[int], index: list[int]) -> None:
        """Compares the state at a start with what the processes before acknowledged."""
        self.starts += 1
        present = set(store)
        assert store == index
        lost = set(self.enrolled) - self.deleting - present
        assert not lost, f"acknowledged and lost: {sorted(lost)[:5]}"
        back = self.deleted & present
        assert not back, f"deleted and back: {sorted(back)[:5]}"
        assert len(present - set(self.enrolled)) <= self.begun - len(self.enrolled)


def rounds(folder: Path, count: int) -> Log:
    log = Log()
    rng = random.Random(count)
    for seed in range(count + 1):
        with subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("killed.py")), str(folder), str(seed)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            text=True,
        ) as process:
            assert process.stdout is not None
            log.hear(process.stdout.readline().rstrip("\n"))
            # From at once to long enough for merges, snapshots and purges to be under way.
            time.sleep(rng.choice([0.02, 0.3, 0.6, 1.2]))
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:
                if line.endswith("\n"):
                    log.hear(line.rstrip("\n"))
        assert process.returncode == -signal.SIGKILL
    assert not log.wrong, log.wrong[:5]
    assert log.starts == count + 1
    assert len(log.enrolled) > count
    assert log.deleted
    return log


def test_kills_lose_nothing_and_bring_nothing_back(tmp_path: Path) -> None:
    rounds(tmp_path, 5)


@pytest.mark.slow
def test_200_kills_lose_nothing_and_bring_nothing_back(tmp_path: Path) -> None:
    log = rounds(tmp_path, 200)
    assert len(log.enrolled) > 400
    assert len(log.deleted) > 100
