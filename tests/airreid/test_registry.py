"""Sets of named parts that other packages add to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airreid.errors import InputError
from airreid.registry import Registry

EXTENSION = """
from airreid.scheme_info import SchemeInfo
from airreid.scheme_kinds import SchemeKind, register_scheme_kind

register_scheme_kind(SchemeKind("made-up", "made up", SchemeInfo, lambda *parts: None, ("analog",)))
"""
ASK = "from airreid.scheme_kinds import kind_of; print(kind_of('made-up-64'))"


def test_parts_keep_their_order_and_names_are_taken_once() -> None:
    numbers: Registry[int] = Registry("number")
    assert numbers.register("two", 2) == 2
    numbers.register("one", 1)
    assert numbers.names() == ("two", "one")
    assert numbers.parts() == (2, 1)
    assert numbers.get("one") == 1
    with pytest.raises(ValueError, match="number 'one' is registered already"):
        numbers.register("one", 11)
    assert numbers.get("one") == 1
    with pytest.raises(InputError, match="number 'three': use one of two, one"):
        numbers.get("three")


def test_a_part_may_be_there_for_a_while() -> None:
    numbers: Registry[int] = Registry("number")
    with numbers.registered("one", 1):
        assert "one" in numbers
    assert "one" not in numbers


def installed(folder: Path, module: str) -> dict[str, str]:
    """The environment of a process that finds a package with an extension installed."""
    (folder / "made_up.py").write_text(module)
    metadata = folder / "made_up-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[airreid.extensions]\nmade-up = made_up\n")
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_an_installed_package_adds_a_part(tmp_path: Path) -> None:
    run = [sys.executable, "-c", ASK]
    env = installed(tmp_path, EXTENSION)
    result = subprocess.run(run, env=env, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "made-up"


def test_an_extension_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    run = [sys.executable, "-c", ASK]
    env = installed(tmp_path, "import nowhere_to_be_found")
    result = subprocess.run(run, env=env, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "extension made-up (made_up) cannot be imported" in result.stderr


BROKEN_AND_GOOD = """
import threading, time
from airreid.errors import InputError
from airreid.scheme_kinds import kind_of

said = []
def ask(name):
    try:
        said.append(kind_of(name))
    except InputError as error:
        said.append(str(error))
asking = [threading.Thread(target=ask, args=("made-up-64",)) for _ in range(4)]
for thread in asking: thread.start()
for thread in asking: thread.join()
ask("nobodys-64"); ask("nobodys-64")
print(*said, sep="\\n")
"""


def test_a_broken_extension_hinders_no_other_and_is_named_each_time(tmp_path: Path) -> None:
    """Four threads ask at once while the good one takes its time to import."""
    (tmp_path / "good.py").write_text("import time; time.sleep(0.5)\n" + EXTENSION)
    env = installed(tmp_path, "import nowhere_to_be_found")
    points = tmp_path / "made_up-1.0.dist-info" / "entry_points.txt"
    points.write_text(points.read_text() + "well = good\n")
    run = [sys.executable, "-c", BROKEN_AND_GOOD]
    result = subprocess.run(run, env=env, capture_output=True, text=True, check=True)
    lines = result.stdout.splitlines()
    assert lines[:4] == ["made-up"] * 4
    for line in lines[4:]:
        assert "begins with none of jscc-ae" in line
        assert "extension made-up (made_up) cannot be imported" in line
