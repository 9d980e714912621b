"""Progress of a command: bars on a terminal, plain lines in a log file."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_LINE_SECONDS = 10.0
"""Shortest time between two lines of one task, its last apart."""


def bars(quiet: bool = False) -> Progress:
    """Returns the progress of a command, not yet started, on standard error."""
    console = Console(stderr=True)
    if quiet:
        return Progress(console=console, disable=True)
    if not console.is_terminal:
        return Lines(console)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        redirect_stdout=sys.stdout.isatty(),  # else results would go to standard error
    )


class Lines(Progress):
    """Progress as lines: one every ten seconds that there is news, and one when a task is done."""

    def __init__(self, console: Console) -> None:
        super().__init__(console=console, disable=True)
        self._next: dict[TaskID, float] = {}
        """Time from which a task may print again; infinity for one that is done."""

    def add_task(self, *arguments: Any, **options: Any) -> TaskID:
        """Begins a task; see :meth:`rich.progress.Progress.add_task`."""
        task = super().add_task(*arguments, **options)
        self._next[task] = time.monotonic() + _LINE_SECONDS
        return task

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Changes a task, and prints where it is if that is due."""
        super().update(task_id, **changes)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Advances a task, and prints where it is if that is due."""
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        task, now = self._tasks[task_id], time.monotonic()
        done = task.total is not None and task.completed >= task.total
        if now < self._next[task_id] and not (done and self._next[task_id] < float("inf")):
            return
        self._next[task_id] = float("inf") if done else now + _LINE_SECONDS
        print(_line(task, done), file=sys.stderr, flush=True)  # noqa: T201


def _line(task: Task, done: bool) -> str:
    count = f"{task.completed:g}" if task.total is None else f"{task.completed:g} of {task.total:g}"
    line = f"{' '.join(task.description.split())}: {count}, {_time(task.elapsed)}"
    left = task.time_remaining
    return line if done or left is None else f"{line}, {_time(left)} left"


def _time(seconds: float | None) -> str:
    whole = int(seconds or 0)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
