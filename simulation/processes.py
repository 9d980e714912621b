"""Roles as child processes that say when they are ready."""

from __future__ import annotations

import json
import subprocess
import threading
from collections import deque
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any

from airreid import child_process
from airreid.errors import LinkError


class Role:
    """``airreid ARGUMENTS...`` as a process; use as a context manager."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        seconds: float = 60.0,
        module: str = child_process.AIRREID,
    ) -> None:
        """Starts the process and waits for its ``ready`` event. ``module`` runs the program.

        It has a process group of its own, so that a terminal's Ctrl-C is the parent's alone to
        deal with, and it ends when the parent dies. Raises :class:`LinkError` with the process's
        last words if it ends first or is not ready within ``seconds``.
        """
        self.name = name
        self._tail: deque[str] = deque(maxlen=20)
        self._events: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self.process = subprocess.Popen(
            child_process.python_module(module, *arguments),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            ready = self._events.get(timeout=seconds)
        except Empty:
            self.stop()
            raise LinkError(f"{name}: not ready within {seconds:g} s") from None
        except BaseException:  # an interrupt: nobody else knows of the process yet
            self.stop()
            raise
        if ready is None:
            self.process.wait()
            self._close()
            last = self._tail[-1] if self._tail else f"exit code {self.process.returncode}"
            raise LinkError(f"{name} did not start: {last.removeprefix('error: ')}")
        self.ready = ready
        """The fields of the ``ready`` event: ports and counts."""

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._tail.append(line.rstrip())
            if '"event": "ready"' in line:
                self._events.put(json.loads(line))
        self._events.put(None)

    def stop(self) -> None:
        """Asks the process to end, and ends it if it has not after 10 s."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._close()

    def _close(self) -> None:
        self._reader.join()
        if self.process.stderr is not None:
            self.process.stderr.close()

    def __enter__(self) -> Role:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
