"""Command lines of the processes that the program starts, and their end with it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_START = (
    "import runpy, sys; "
    "from airreid.child_process import end_with; "
    "from airreid.import_path import leave_current_folder; "
    "leave_current_folder(); "
    "del sys.argv[0]; "
    "end_with(int(sys.argv.pop(0))); "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
_PR_SET_PDEATHSIG = 1
AIRREID = "airreid.cli"
"""Module that runs the program."""


def python_module(module: str, *arguments: str) -> list[str]:
    """Returns the command that runs ``module`` in this interpreter, ready for :mod:`subprocess`.

    The current folder is kept off the import path, also where ``PYTHONPATH`` names it: see
    :func:`airreid.import_path.leave_current_folder`. The process gets SIGTERM when this one
    dies, however it dies: see :func:`end_with`.
    """
    return [sys.executable, "-P", "-c", _START, str(os.getpid()), module, *arguments]


def airreid(*arguments: str) -> list[str]:
    """Returns the command ``airreid ARGUMENTS...``."""
    return python_module(AIRREID, *arguments)


def end_with(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Ends this process by a signal when its parent dies; at once, if that has happened.

    Linux counts the thread that started it as the parent. Elsewhere nothing watches, and a
    parent that is killed leaves its children.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(128 + number)
