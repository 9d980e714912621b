"""Signals at several moments: each command ends at once, quietly, and alone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.edge.support import AccessPoint, interruptible, served, until

ANY = "127.0.0.1:0"
BOTH = [signal.SIGINT, signal.SIGTERM]
ALL = [*BOTH, signal.SIGHUP]


class Command:
    """A running command: what it has printed, and its children."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            interruptible(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.text += line

    def until(self, state: Callable[[], object]) -> None:
        """Waits for a state that comes before the end of the command."""
        until(lambda: state() or self.process.poll() is not None, 120)
        assert self.process.poll() is None, self.text

    def end(self, number: signal.Signals) -> int:
        """Sends the signal to this process alone; its exit code, with nothing left behind."""
        family = descendants(self.process.pid)
        self.process.send_signal(number)
        try:
            code = self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join()
            assert self.process.stdout is not None
            self.process.stdout.close()
        until(lambda: not [pid for pid in family if alive(pid)], 60)
        assert "Traceback" not in self.text
        return code


def descendants(parent: int) -> set[int]:
    """The process ids below a process."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(status[1])
    below = {pid for pid, above in parents.items() if above == parent}
    return below.union(*(descendants(pid) for pid in below))


def alive(pid: int) -> bool:
    """Is there such a process, and is it more than a zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def maps(command: Command) -> str:
    """The libraries that a process has loaded."""
    try:
        return Path(f"/proc/{command.process.pid}/maps").read_text()
    except OSError:
        return ""


def ended_by(number: signal.Signals) -> tuple[int, int]:
    """Exit codes of a command that a signal ended, while modules are loaded and later."""
    return (-number, 128 + number)


@contextlib.contextmanager
def silent_server() -> Iterator[tuple[str, threading.Event]]:
    """Yields an address at which connections are taken and nothing is said, and whether one is."""
    taken, held = threading.Event(), []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(listener.accept()[0])
                    taken.set()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}", taken
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for near in held:
                near.close()


@pytest.mark.parametrize("number", ALL)
def test_a_camera_that_waits_for_its_answer(number: signal.Signals, people: Path) -> None:
    """Threads of gRPC are at work then: taking the interpreter down would abort the process."""
    far = AccessPoint()
    far.gate.clear()
    with served(far) as to:
        command = Command("edge", "send", people, "--to", to)
        command.until(lambda: far.seen)
        assert command.end(number) == 128 + number


@pytest.mark.parametrize("number", BOTH)
def test_a_camera_that_waits_for_its_link(number: signal.Signals, people: Path) -> None:
    with silent_server() as (to, taken):
        command = Command("edge", "send", people, "--to", to)
        command.until(taken.is_set)
        assert command.end(number) == 128 + number


def test_a_camera_whose_access_point_is_not_ready_says_so_at_once(people: Path) -> None:
    far = AccessPoint()
    far.not_ready = 10**6
    with served(far) as to:
        command = Command("edge", "send", people, "--to", to)
        command.until(lambda: "not ready: the gallery is being loaded" in command.text)
        assert command.end(signal.SIGINT) == 130
    assert command.text.count("not ready") == 1


@pytest.mark.parametrize("library", ["_multiarray_umath", "cygrpc", "onnxruntime"])
@pytest.mark.parametrize("number", BOTH)
def test_a_command_that_still_loads(library: str, number: signal.Signals, people: Path) -> None:
    with silent_server() as (to, _):
        command = Command("edge", "send", people, "--to", to)
        command.until(lambda: library in maps(command))
        assert command.end(number) in ended_by(number)


@pytest.mark.parametrize(
    ("number", "count"),
    [
        (signal.SIGINT, 1),
        (signal.SIGTERM, 2),
        (signal.SIGKILL, 1),
        pytest.param(signal.SIGHUP, 1, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 2, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 1, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, 2, marks=pytest.mark.slow),
    ],
)
def test_a_simulation_takes_its_services_with_it(
    number: signal.Signals, count: int, tmp_path: Path
) -> None:
    """The first child is the access point, which is not ready yet; the second is the channel."""
    options = ("--identities", 2, "--snr", 0, "--scheme", "jscc-ae-64", "--report", tmp_path)
    command = Command("simulate", *options)
    command.until(lambda: len(descendants(command.process.pid)) == count)
    code = command.end(number)
    assert code == (-number if number == signal.SIGKILL else 128 + number)


@pytest.mark.slow
@pytest.mark.parametrize("number", ALL)
@pytest.mark.parametrize(
    "arguments",
    [
        ("gallery", "enroll", "PEOPLE", "--to", "TO"),
        ("gallery", "list", "--to", "TO"),
        ("gallery", "calibrate", "--to", "TO"),
        ("channel", "watch", "--to", "TO"),
        ("channel", "set", "--snr", "3", "--to", "TO"),
        ("edge", "status", "--to", "TO"),
        ("health", "TO", "--seconds", "60"),
    ],
    ids=" ".join,
)
def test_clients_that_wait_for_a_service(
    arguments: tuple[str, ...], number: signal.Signals, people: Path
) -> None:
    with silent_server() as (to, taken):
        words = [{"TO": to, "PEOPLE": str(people)}.get(word, word) for word in arguments]
        command = Command(*words)
        command.until(taken.is_set)
        assert command.end(number) == 128 + number


@pytest.mark.slow
@pytest.mark.parametrize("number", ALL)
@pytest.mark.parametrize(
    "arguments",
    [
        ("ap", "serve", "--data-dir", "DATA", "--grpc", ANY, "--http", ANY),
        ("channel", "serve", "--listen", ANY, "--upstream", "127.0.0.1:1"),
        ("edge", "serve", "--listen", ANY, "--to", "127.0.0.1:1"),
    ],
    ids=lambda words: words[0],
)
def test_services(arguments: tuple[str, ...], number: signal.Signals, tmp_path: Path) -> None:
    words = [{"DATA": str(tmp_path / "data")}.get(word, word) for word in arguments]
    early = Command(*words)
    early.until(lambda: "site-packages" in maps(early))
    assert early.end(number) in (*ended_by(number), 0)
    ready = Command(*words)
    ready.until(lambda: '"event": "ready"' in ready.text)
    assert ready.end(number) == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", BOTH)
def test_work_on_files(number: signal.Signals, people: Path, tmp_path: Path) -> None:
    """Scratch folders are cleared away."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    os.environ["TMPDIR"] = str(scratch)
    try:
        drawing = Command("people", tmp_path / "crowd", "--identities", 500)
        drawing.until(lambda: list(scratch.rglob("*.png")))
        assert drawing.end(number) == 128 + number
        assert not list(scratch.iterdir())
        options = ("--bundle", "models/demo", "--data", people, "--snr", 0)
        measuring = Command("evaluate", *options, "--seeds", 1)
        measuring.until(lambda: "onnxruntime" in maps(measuring))
        assert measuring.end(number) in ended_by(number)
    finally:
        del os.environ["TMPDIR"]
