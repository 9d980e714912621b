"""Legacy files, and the comparison of recorded values with today's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from airreid.cli import build

FILES = Path(__file__).resolve().parent / "files"
SCORE_TOLERANCE = 1e-5
"""Difference of cosines, whose last digits depend on the machine's order of sums."""
ANY_PORT = "127.0.0.1:0"
SEED, LINK, FIRST_BLOCK = 7, "cam-legacy", 100
"""The noise that blocks were sent through."""
SNRS_DB = (0.0, 10.0)


def assert_as_recorded(actual: Any, expected: Any, where: str = "") -> None:
    """Every recorded key and item is there today with its value; floats within 1e-5."""
    if isinstance(expected, dict):
        assert isinstance(actual, dict), where
        for key, value in expected.items():
            assert key in actual, f"{where}: {key} is gone"
            assert_as_recorded(actual[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert isinstance(actual, list), where
        assert len(actual) == len(expected), where
        for number, (item, value) in enumerate(zip(actual, expected, strict=True)):
            assert_as_recorded(item, value, f"{where}[{number}]")
    elif isinstance(expected, float):
        assert actual == pytest.approx(expected, abs=SCORE_TOLERANCE), where
    else:
        assert actual == expected, where


def airreid(*arguments: object) -> str:
    """Standard output of ``airreid ARGUMENTS...``, called in this process; it must succeed."""
    words = [str(argument) for argument in arguments]
    result = CliRunner().invoke(build(words), words)
    assert result.exit_code == 0, result.output
    return result.stdout
