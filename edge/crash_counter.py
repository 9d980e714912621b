"""Files on which the process may have died: a decoder's crash, memory that ran out."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

LIMIT = 10
"""So many deaths, and the file is given up."""


class Suspects:
    """Remembers, in a file, which names are being worked on.

    What is in it at the start was under way when the process ended without a word. Such a
    name is to be taken last and alone, so that one bad file never keeps the others waiting.
    The file is not forced to the disk: a power cut is no fault of a picture.
    """

    def __init__(self, path: Path | None) -> None:
        """``path`` None remembers nothing."""
        self._path = path
        self._under_way: set[str] = set()
        self._deaths = _read(path)

    def deaths(self, name: str) -> int:
        """How often the process ended while this name was under way."""
        return self._deaths.get(name, 0)

    def begin(self, name: str) -> None:
        self._under_way.add(name)
        self._write()

    def end(self, name: str) -> None:
        """There is a verdict, whichever."""
        self._under_way.discard(name)
        self._deaths.pop(name, None)
        self._write()

    def _write(self) -> None:
        if self._path is not None:
            text = json.dumps({"under_way": sorted(self._under_way), "deaths": self._deaths})
            with contextlib.suppress(OSError):  # a full disk must not stop anything here
                partial = self._path.with_suffix(".part")
                partial.write_text(text, encoding="ascii")
                partial.replace(self._path)


def _read(path: Path | None) -> dict[str, int]:
    """Deaths by name, those of the last end included."""
    if path is None:
        return {}
    try:
        state = json.loads(path.read_text(encoding="ascii"))
        deaths = {str(name): int(count) for name, count in state["deaths"].items()}
        for name in state["under_way"]:
            deaths[str(name)] = deaths.get(str(name), 0) + 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # missing, or torn by a power cut
    return deaths
