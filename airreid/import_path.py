"""The import path of a process of ours, without the current folder."""

from __future__ import annotations

import sys
from pathlib import Path


def leave_current_folder() -> None:
    """Takes the current folder off the import path.

    ``python -m`` puts it first, and an empty entry of ``PYTHONPATH`` means it as well. A user's own
    ``training/`` or ``edge.py`` there must not be imported in place of ours. In a checkout of ours
    it stays.
    """
    current = Path.cwd()
    if current != Path(__file__).resolve().parents[1]:
        sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != current]
