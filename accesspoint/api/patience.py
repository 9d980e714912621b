"""Pauses of work that would hold the interpreter for long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

Given = TypeVar("Given")
Result = TypeVar("Result")
BUSY_SECONDS = 0.0005
"""Time for which patient work goes on, and sleeps then."""


class Patience:
    """Pauses of one piece of work, which calls this over and over."""

    def __init__(self) -> None:
        self._until = time.perf_counter() + BUSY_SECONDS

    def __call__(self) -> None:
        """Sleeps where the work has gone on for long enough."""
        if time.perf_counter() >= self._until:
            time.sleep(BUSY_SECONDS)
            self._until = time.perf_counter() + BUSY_SECONDS


def patiently(make: Callable[[Given], Result], values: Iterable[Given]) -> list[Result]:
    """Makes something of each value; other threads hardly notice."""
    pause = Patience()
    results = []
    for value in values:
        results.append(make(value))
        pause()
    return results
