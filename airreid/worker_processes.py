"""Pools of processes that end with the one that started them."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_start_method

from airreid.child_process import end_with


def worker_processes(count: int = 0) -> ProcessPoolExecutor:
    """Returns a pool of ``count`` processes, one per core for 0, which are killed with this one.

    Others would wait for work for ever where this process is killed. Use the pool in one thread.
    """
    return ProcessPoolExecutor(
        count or os.cpu_count() or 1, initializer=_end_with, initargs=(os.getpid(),)
    )


def _end_with(starter: int) -> None:
    if get_start_method() == "forkserver":
        starter = os.getppid()  # the server, which ends with the process that started it
    end_with(starter, signal.SIGKILL)
