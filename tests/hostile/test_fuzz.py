"""A million cases for the readers of what comes from outside; those that once failed, always."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from .fuzz import SEEDS
from .fuzz_targets import TARGETS, prepared

ROOT = Path(__file__).resolve().parents[2]
_DONE = re.compile(r"Done (\d+) (?:runs )?in (\d+) second")


def test_the_targets_have_a_million_cases() -> None:
    assert sum(target.cases for target in TARGETS.values()) >= 1_000_000


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow says so of a damaged EXIF part
@pytest.mark.parametrize("name", TARGETS)
def test_inputs_that_are_kept_are_read_or_refused(name: str) -> None:
    target, run, folder = prepared(name)
    with folder:
        for data in target.seeds():
            run(data)
        for path in sorted((SEEDS / name).glob("*")):
            run(path.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_whatever_comes_is_read_or_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, started = TARGETS[name], time.monotonic()
    command = [sys.executable, "-m", "tests.hostile.fuzz", name, str(target.cases), "1"]
    done = subprocess.run(
        [*command, str(tmp_path / "corpus")],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    reached = int(_DONE.findall(output)[-1][0])
    assert reached >= target.cases
    with capsys.disabled():
        typer.echo(f"\n{name}: {reached} cases in {time.monotonic() - started:.0f} s")
