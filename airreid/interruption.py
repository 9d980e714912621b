"""End of a command by a signal, with what it had begun cleared away."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

INTERRUPTED = 128 + signal.SIGINT
"""Exit code of a command that SIGINT (Ctrl-C) ended; the others' are made in the same way."""


def ending_signals() -> list[signal.Signals]:
    """Returns the signals other than SIGINT that end a program in order.

    SIGTERM, and SIGHUP of a closed terminal, unless that is ignored (``nohup``).
    """
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, hangup]


def die_at_once() -> None:
    """Lets SIGINT end the process without a word, while modules are loaded.

    A :class:`KeyboardInterrupt` inside an import ends in a traceback, or in an error that the
    module makes of it. Where SIGINT is ignored (``nohup``) it stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Runs a command to its end; on SIGINT, SIGTERM and SIGHUP with ``finally``, and out at once.

    The interpreter is not taken down piece by piece then: threads of C++ libraries that are
    still at work would abort the process.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with exit_by_signals():
            yield
    except KeyboardInterrupt:
        _leave(INTERRUPTED)
    except SystemExit as end:
        if end.code in {INTERRUPTED, *(128 + number for number in ending_signals())}:
            _leave(int(end.code))
        raise


def _leave(code: int) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is done at exit is not broken off
    if "multiprocessing" in sys.modules:
        from multiprocessing import active_children

        for worker in active_children():
            worker.kill()  # a pool's, begun a moment ago, would be waited for at exit
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


@contextlib.contextmanager
def exit_by_signals() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP raise :class:`SystemExit` inside, as SIGINT raises
    :class:`KeyboardInterrupt`, so that ``finally`` is run.

    Nothing outside the main thread, where no handler can be set.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _exit) for number in ending_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # the clearing away is not broken off
    sys.exit(128 + number)
