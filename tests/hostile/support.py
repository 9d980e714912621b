"""Real services under limits, and a well-behaved camera that times its answers."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from airreid import child_process
from airreid.credentials import ClientCredentials
from airreid.v1 import common_pb2, uplink_pb2

from .attacks import QUERY, block

_ROOT = Path(__file__).parents[2]
DESCRIPTORS = 1024
ADDRESS_MIB = 3072
"""Address space of a service, at most; an idle access point takes half of it."""
MEMORY_MIB = 512
"""Growth of a service under attack, at most."""
SECONDS = 12.0
"""Time of an attack, and of the time before it."""


class Service:
    """``airreid ARGUMENTS...`` with few descriptors and little memory; a context manager."""

    def __init__(self, arguments: list[str], log: Path, stdin: Any = subprocess.DEVNULL) -> None:
        self._log = log
        limits = f"ulimit -n {DESCRIPTORS} -v {ADDRESS_MIB << 10}"
        limited = ["bash", "-c", f'{limits}; exec "$@"', "service"]
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*limited, *child_process.airreid(*arguments)],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=file,
            )
        self.ready = self.wait_for("ready")

    def wait_for(self, event: str, seconds: float = 120.0) -> dict[str, Any]:
        """Waits for an event of the log and returns it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            for line in self._log.read_text().splitlines():
                if f'"event": "{event}"' in line:
                    fields: dict[str, Any] = json.loads(line)
                    return fields
            time.sleep(0.05)
        raise AssertionError(self._log.read_text()[-2000:])

    @property
    def log_bytes(self) -> int:
        return self._log.stat().st_size

    def rss_mib(self) -> float:
        """Returns the memory that the process holds now."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("the service has ended")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Camera:
    """Sends a block every 40 ms on a stream and notes how long each answer takes."""

    def __init__(self, port: int, credentials: ClientCredentials | None = None) -> None:
        shown = credentials or ClientCredentials()
        self._channel = shown.channel(f"127.0.0.1:{port}", [])
        self._call: Any = None
        self._sent: dict[int, float] = {}
        self.latencies_ms: list[float] = []
        self.codes: list[int] = []
        self._stop = threading.Event()
        self._request = block(7, "camera")

    def _requests(self) -> Iterator[bytes]:
        sequence = 0
        while not self._stop.wait(0.04):
            sequence += 1
            self._request.id.sequence = sequence
            self._sent[sequence] = time.perf_counter()
            yield self._request.SerializeToString()

    def _read(self) -> None:
        call = self._channel.stream_stream(QUERY)(self._requests())
        for data in call:
            answer = uplink_pb2.QueryResponse.FromString(data)
            elapsed = time.perf_counter() - self._sent.pop(answer.id.sequence)
            self.latencies_ms.append(1e3 * elapsed)
            self.codes.append(answer.status.code)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the camera's stream does not end"
        self._channel.close()

    def watch(self, seconds: float) -> tuple[float, int]:
        """Returns the 99th percentile of the latency in ms within a time, and the answers."""
        start = len(self.latencies_ms)
        time.sleep(seconds)
        oldest = 1e3 * max(
            (time.perf_counter() - sent for sent in list(self._sent.values())), default=0.0
        )
        times = [*self.latencies_ms[start:], oldest]
        return float(np.percentile(times, 99)), len(times) - 1

    def check(self) -> None:
        """Every answer was what it should be."""
        assert set(self.codes) == {common_pb2.CODE_OK}


def wait_for_room(port: int) -> None:
    """Waits until a port lets this machine in: the attack before may have had it refused."""
    end = time.monotonic() + 120.0
    while time.monotonic() < end:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=1.0),
        ):
            return
    raise AssertionError("the port lets nobody in")


@contextlib.contextmanager
def attacked(name: str, grpc_port: int, http_port: int) -> Iterator[None]:
    """Attacks from a process of its own for as long as the context lasts.

    An attacker that has ended by then fails the test: nothing was withstood.
    """
    code = f"from tests.hostile.all_attacks import run; run({name!r}, {grpc_port}, {http_port})"
    attacker = subprocess.Popen([sys.executable, "-c", code], cwd=_ROOT)
    try:
        time.sleep(2.0)  # it imports and builds what it sends
        yield
        assert attacker.poll() is None, f"{name} ended by itself"
    finally:
        attacker.kill()
        attacker.wait()


class Peak:
    """The most memory that a service held; a context manager."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.mib = service.rss_mib()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self.mib = max(self.mib, self._service.rss_mib())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
