"""Crashes by file: a decoder's fault, or memory that ran out, may end the whole process."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from airreid.disk import open_private, read_regular

CRASH_LIMIT = 10
"""Crashes after which a file is given up."""
_BYTES_MAX = 16 << 20
"""Bytes of the file of names, at most."""


class CrashCounter:
    """Remembers, in a file, which names are being worked on.

    A name that is in it at the start was under way when the process ended without a word: a
    crash. Such a name is to be taken last and alone, so that one bad file never keeps the
    others waiting. The file is not forced to the disk: a power cut is no fault of a picture.
    """

    def __init__(self, path: Path | None) -> None:
        """``path`` None remembers nothing."""
        self._path = path
        self._under_way: set[str] = set()
        self._crashes = _read(path)

    def crashes(self, name: str) -> int:
        """Counts the times that the process ended while this name was under way."""
        return self._crashes.get(name, 0)

    def begin(self, name: str) -> None:
        """Marks a name as under way."""
        self._under_way.add(name)
        self._write()

    def end(self, name: str) -> None:
        """Forgets a name on which there is a verdict, whichever."""
        self._under_way.discard(name)
        self._crashes.pop(name, None)
        self._write()

    def _write(self) -> None:
        if self._path is not None:
            text = json.dumps({"under_way": sorted(self._under_way), "deaths": self._crashes})
            with contextlib.suppress(OSError):  # a full disk must not stop anything here
                partial = self._path.with_suffix(".part")
                with open_private(partial, "w") as file:
                    file.write(text)
                partial.replace(self._path)


def _read(path: Path | None) -> dict[str, int]:
    """Crashes by name, the last one included. The file calls them deaths."""
    if path is None:
        return {}
    try:
        state = json.loads(read_regular(path, _BYTES_MAX))
        crashes = {str(name): int(count) for name, count in state["deaths"].items()}
        for name in state["under_way"]:
            crashes[str(name)] = crashes.get(str(name), 0) + 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # missing, or torn by a power cut
    return crashes
