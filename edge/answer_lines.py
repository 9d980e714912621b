"""Lines of answers in the order of their files, each printed as soon as it can be."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from airreid.console import say
from edge import printing
from edge.oneshot import Sent


class AnswerLines:
    """Answers that have come; safe in any thread."""

    def __init__(self, paths: Sequence[Path], shows: bool) -> None:
        """``shows``: prints the answer of a file once those of all files before it are printed."""
        self._width = max((len(printing.file_name(path)) for path in paths), default=0)
        self._shows = shows
        self._outcomes: dict[int, Sent] = {}
        self._printed = 0
        """Files whose lines are printed."""
        self._failure: OSError | None = None
        self._lock = threading.Lock()

    def add(self, position: int, outcome: Sent) -> None:
        """Takes the outcome of a file; one that is there already stays."""
        with self._lock:
            self._outcomes.setdefault(position, outcome)
            while self._printed in self._outcomes:
                self._print(self._outcomes[self._printed])
                self._printed += 1

    def finish(self, outcomes: Sequence[Sent]) -> None:
        """Prints what is left of all files. Raises :class:`OSError` if printing has failed."""
        for position, outcome in enumerate(outcomes):
            self.add(position, outcome)
        if self._failure is not None:
            raise self._failure

    def broken_off(self) -> list[Sent]:
        """Prints what came before its turn; returns all outcomes, in the order of the files."""
        with self._lock:
            for position in sorted(self._outcomes):
                if position >= self._printed:
                    self._print(self._outcomes[position])
            return [self._outcomes[position] for position in sorted(self._outcomes)]

    def _print(self, outcome: Sent) -> None:
        if not self._shows or self._failure is not None:
            return
        line = printing.sent_line(outcome, self._width)
        try:
            say(line.text, faint=line.faint)
        except OSError as error:  # nobody reads on: told by :meth:`finish`, in its thread
            self._failure = error
