"""The end of a command by a signal."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

WORKER_THAT_NOBODY_ENDS = """
import multiprocessing, signal, sys, time
from airreid.interruption import ended_by_signals
for number in (signal.SIGINT, signal.SIGHUP):  # the tests may run where they are ignored
    signal.signal(number, signal.SIG_DFL)
with ended_by_signals():
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,))
    worker.start()
    print(worker.pid, flush=True)
    time.sleep(3600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_worker_that_nobody_ends_holds_no_command_up(number: signal.Signals) -> None:
    command = [sys.executable, "-c", WORKER_THAT_NOBODY_ENDS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        process.send_signal(number)
        assert process.wait(120) == 128 + number
        # The pipe ends when the last process that holds it does: the worker, too.
        assert process.stdout.read() == ""


HEARS_NOTHING_OF_ITS_TERMINAL = """
import signal
from airreid.interruption import ended_by_signals
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with ended_by_signals():
    signal.raise_signal(signal.SIGHUP)
    print("goes on")
"""


def test_nohup_keeps_its_word() -> None:
    command = [sys.executable, "-c", HEARS_NOTHING_OF_ITS_TERMINAL]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "goes on\n"
