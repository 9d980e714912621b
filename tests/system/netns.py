"""Two network namespaces and a link between them that can be cut, slowed and made lossy.

Needs root and iproute2. The kernel's own netem spoils a veth pair; where the kernel has no
netem, two TUN devices with a relay between them do the same from user space.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_MTU_MAX = 1 << 16
_DEVICE = "wire"
_LIBC = ctypes.CDLL(None, use_errno=True)


class NotPermitted(Exception):  # noqa: N818
    """This machine does not let the test have what it asks for; says what is missing."""


def _run(*command: str) -> None:
    """Runs a command; raises :class:`NotPermitted` with its complaint."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        complaint = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise NotPermitted(f"{' '.join(command)}: {complaint}")


def _setns(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """The calling thread, and what it starts, is in the namespace; other threads are not.

    Sockets and child processes made within stay there afterwards.
    """
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        namespace_fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            _setns(namespace_fd)
        finally:
            os.close(namespace_fd)
        try:
            yield
        finally:
            _setns(before)
    finally:
        os.close(before)


class Network:
    """Namespaces ``left`` and ``right`` with addresses on one link; a context manager.

    Entering raises :class:`NotPermitted` where the machine cannot have it. Leaving removes
    both namespaces, whatever happened.
    """

    LEFT, RIGHT = "10.231.77.1", "10.231.77.2"

    def __init__(self) -> None:
        tag = f"{os.getpid()}-{random.SystemRandom().randrange(1 << 16):04x}"
        self.left, self.right = f"airreid-{tag}-l", f"airreid-{tag}-r"

    def cut(self) -> None:
        """Takes the left end down."""
        _run("ip", "-n", self.left, "link", "set", _DEVICE, "down")

    def mend(self) -> None:
        _run("ip", "-n", self.left, "link", "set", _DEVICE, "up")

    def spoil(self, delay_ms: float, jitter_ms: float, loss_percent: float) -> None:
        """Each packet, either way, is late by ``delay_ms`` +- ``jitter_ms``, uniform and for
        itself, so that packets overtake one another; or lost. Zeros: a perfect link."""
        raise NotImplementedError

    def _connect(self) -> None:
        """Makes the device in both namespaces."""
        raise NotImplementedError

    def _disconnect(self) -> None:
        """Frees what the namespaces' end does not."""

    def __enter__(self) -> Network:
        if os.geteuid() != 0:
            raise NotPermitted("network namespaces need root")
        for tool in ("ip", "tc"):
            if shutil.which(tool) is None:
                raise NotPermitted(f"{tool} is not installed (package iproute2)")
        try:
            for namespace in (self.left, self.right):
                _run("ip", "netns", "add", namespace)
            self._connect()
            for namespace, address in ((self.left, self.LEFT), (self.right, self.RIGHT)):
                _run("ip", "-n", namespace, "address", "add", f"{address}/30", "dev", _DEVICE)
                for device in ("lo", _DEVICE):
                    _run("ip", "-n", namespace, "link", "set", device, "up")
            self.spoil(1, 0, 0)
            self.spoil(0, 0, 0)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        try:
            self._disconnect()
        finally:
            for namespace in (self.left, self.right):
                if Path("/run/netns", namespace).exists():
                    subprocess.run(["ip", "netns", "del", namespace], check=False)


class Netem(Network):
    """A veth pair, spoilt by ``tc ... netem`` at both ends."""

    def _connect(self) -> None:
        end = ("name", _DEVICE, "netns")
        _run("ip", "link", "add", *end, self.left, "type", "veth", "peer", *end, self.right)

    def spoil(self, delay_ms: float, jitter_ms: float, loss_percent: float) -> None:
        for namespace in (self.left, self.right):
            _run(
                *("tc", "-n", namespace, "qdisc", "replace", "dev", _DEVICE, "root", "netem"),
                *("delay", f"{delay_ms}ms", f"{jitter_ms}ms", "loss", f"{loss_percent}%"),
            )


class Relay(Network):
    """Two TUN devices; a thread carries packets from one to the other."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self._rng = random.Random(seed)
        self._bad = (0.0, 0.0, 0.0)
        self._ends: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="relay", daemon=True)

    def spoil(self, delay_ms: float, jitter_ms: float, loss_percent: float) -> None:
        self._bad = (delay_ms, jitter_ms, loss_percent)

    def _connect(self) -> None:
        for namespace in (self.left, self.right):
            try:
                end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                self._ends.append(end)
                name = fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", b"", _IFF_TUN_NO_PI))
            except OSError as error:
                raise NotPermitted(f"TUN devices: {error}") from None
            device = name[:16].rstrip(b"\0").decode()
            _run("ip", "link", "set", device, "netns", namespace, "name", _DEVICE)
        self._thread.start()

    def _disconnect(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for end in self._ends:
            os.close(end)
        self._ends.clear()

    def _carry(self) -> None:
        """Reads, loses, delays and writes packets until told to stop."""
        poll = select.poll()
        for end in self._ends:
            poll.register(end, select.POLLIN)
        other = dict(zip(self._ends, reversed(self._ends), strict=True))
        late: list[tuple[float, int, int, bytes]] = []
        count = 0
        while not self._stop.is_set():
            wait = late[0][0] - time.monotonic() if late else 0.1
            for end, _ in poll.poll(max(0.0, min(wait, 0.1)) * 1e3):
                for packet in _waiting(end):
                    delay_ms, jitter_ms, loss_percent = self._bad
                    if self._rng.uniform(0, 100) < loss_percent:
                        continue
                    delay = max(0.0, delay_ms + self._rng.uniform(-jitter_ms, jitter_ms))
                    count += 1
                    heapq.heappush(
                        late, (time.monotonic() + delay / 1e3, count, other[end], packet)
                    )
            while late and late[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(late)
                try:
                    os.write(end, packet)
                except OSError:  # that end is down, or full: lost, as on a real cable
                    continue


def _waiting(end: int) -> Iterator[bytes]:
    """The packets that a TUN device holds; none while it is down."""
    while True:
        try:
            packet = os.read(end, _MTU_MAX)
        except OSError:
            return
        yield packet
