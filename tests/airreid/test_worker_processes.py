"""Processes of a pool end with the process that started them, however that ends."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

IDLE_AND_BUSY = """
import signal
from airreid.worker_processes import worker_processes
if __name__ == "__main__":
    for number in (signal.SIGHUP, signal.SIGQUIT):  # the tests may run where they are ignored
        signal.signal(number, signal.SIG_DFL)
    pool = worker_processes(2)
    pool.submit(signal.pause)
    print(pool.submit(abs, -1).result(), flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGQUIT, signal.SIGHUP])
def test_workers_end_with_a_process_that_is_killed(number: signal.Signals) -> None:
    command = [sys.executable, "-c", IDLE_AND_BUSY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        process.send_signal(number)
        # The pipe ends when the last process that holds it does: both workers, too.
        try:
            assert process.communicate(timeout=120) == ("", None)
        finally:
            process.kill()
        assert process.returncode == -number
