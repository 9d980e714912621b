"""A user's own ``training/`` or ``edge.py`` in the current folder never stands in for ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airreid import child_process
from airreid.cli import ROLES
from simulation.processes import Role

ROOT = Path(__file__).resolve().parents[2]
OURS = ("edge", "channel_sim", "accesspoint", "training", "simulation", "benchmarks")


@pytest.fixture
def shadowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module or a package of each of our names."""
    for number, name in enumerate((*OURS, "airreid")):
        if number % 2:
            (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')\n")
        else:
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text("raise SystemExit('shadowed')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return tmp_path


@pytest.mark.parametrize("name", ROLES)
def test_every_command_is_ours(shadowed: Path, name: str) -> None:
    done = subprocess.run(
        child_process.airreid(name, "--help"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_python_m_imports_ours_as_well(shadowed: Path) -> None:
    """``torchrun -m airreid.cli`` and people's own habits put the current folder first."""
    (shadowed / "airreid" / "__init__.py").unlink()
    (shadowed / "airreid").rmdir()  # which Python itself would run in place of ours
    done = subprocess.run(
        [sys.executable, "-m", "airreid.cli", "simulate", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


@pytest.mark.parametrize("path", [":", ".", "{here}"])
def test_a_python_path_that_means_the_current_folder_changes_nothing(
    shadowed: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """``export PYTHONPATH=$PYTHONPATH:/opt/x`` leaves an empty entry, which is this folder."""
    (shadowed / "airreid" / "__init__.py").unlink()
    (shadowed / "airreid").rmdir()  # which Python itself would run in place of ours
    monkeypatch.setenv("PYTHONPATH", path.format(here=shadowed) + os.pathsep + str(ROOT))
    script = [sys.executable, "-c", "from airreid.cli import main; main()", "train", "--help"]
    for command in (
        script,
        child_process.airreid("simulate", "--help"),
        child_process.python_module("benchmarks.uplink_peer"),
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "shadowed" not in done.stderr + done.stdout
        assert "Usage" in done.stdout or "uplink_peer.py" in done.stderr, done.stderr


def test_roles_start_as_ours(shadowed: Path) -> None:
    with Role("channel", ["channel", "serve", "--listen", "127.0.0.1:0"]) as channel:
        assert channel.ready["event"] == "ready"


def test_every_child_process_is_started_through_one_function() -> None:
    """``sys.executable`` elsewhere would be a process with the current folder on its path."""
    for package in ("airreid", *OURS):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            if path == ROOT / "airreid" / "child_process.py" or "sys.executable" not in text:
                continue
            assert text.count("sys.executable") == text.count('sys.executable, "-P"'), path
