"""The end of a command by a signal."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

WORKER_THAT_NOBODY_ENDS = """
import multiprocessing, signal, sys, time
from airreid.interruption import ended_by_signals
signal.signal(signal.SIGINT, signal.SIG_DFL)  # the tests may run where it is ignored
with ended_by_signals():
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,))
    worker.start()
    print(worker.pid, flush=True)
    time.sleep(3600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_nobody_ends_holds_no_command_up(number: signal.Signals) -> None:
    command = [sys.executable, "-c", WORKER_THAT_NOBODY_ENDS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        process.send_signal(number)
        assert process.wait(120) == 128 + number
        # The pipe ends when the last process that holds it does: the worker, too.
        assert process.stdout.read() == ""
