"""The command line, called in this process."""

from __future__ import annotations

from click.testing import Result
from typer.testing import CliRunner

from airreid.cli import build


def invoke(*arguments: str) -> Result:
    """``airreid ARGUMENTS...``; an error is in the result's ``exception``."""
    return CliRunner().invoke(build(arguments), list(arguments))
