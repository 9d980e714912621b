"""Command lines of the processes that the program starts."""

from __future__ import annotations

import sys


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs ``module`` in this interpreter, ready for :mod:`subprocess`.

    ``-P`` keeps the current folder off the import path: a user's own ``training/`` or
    ``edge.py`` there must not be imported in place of ours.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def airreid(*arguments: str) -> list[str]:
    """The command ``airreid ARGUMENTS...``."""
    return python_module("airreid.cli", *arguments)
