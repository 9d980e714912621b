"""Command lines of the processes that the program starts."""

from __future__ import annotations

import sys

_START = (
    "import runpy, sys; "
    "from airreid.import_path import leave_current_folder; "
    "leave_current_folder(); "
    "del sys.argv[0]; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs ``module`` in this interpreter, ready for :mod:`subprocess`.

    The current folder is kept off the import path, also where ``PYTHONPATH`` names it: see
    :func:`airreid.import_path.leave_current_folder`.
    """
    return [sys.executable, "-P", "-c", _START, module, *arguments]


def airreid(*arguments: str) -> list[str]:
    """The command ``airreid ARGUMENTS...``."""
    return python_module("airreid.cli", *arguments)
