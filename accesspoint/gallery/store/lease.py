"""Lease of a data folder: a file that says who has it, where locks may not meet."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from pathlib import Path

from airreid.disk import open_private, read_regular
from airreid.errors import InputError

RENEWED_S = 2.0
"""Interval at which a holder on a network file system writes its lease."""
RENEWED_LOCALLY_S = 10.0
"""The same on a local one, which another machine may see over the network."""
_WATCHED = 2.5
"""Intervals that a lease of another machine is watched; one that does not change is over."""
_BYTES_MAX = 64 << 10
"""Bytes of a lease, at most."""
_LONGEST_S = 30.0
"""Longest interval that a lease is believed to have."""


class Lease:
    """Lease of one process, beside the lock.

    Locks keep processes of one machine apart. Over a network file system, and through FUSE, they
    may not meet: the lease names its holder and is written again and again. A process of this
    machine is looked up by its number and start; one of another machine is alive if its lease
    changes while it is watched.
    """

    def __init__(
        self, path: Path, network: bool, renewed_s: float | None = None, settle_s: float = 0.2
    ) -> None:
        """``network``: the folder is on a network file system. ``settle_s``: pause there between
        the lease and a look whether somebody else has begun at the same time. Raises
        :class:`InputError` where somebody has the folder, and :class:`OSError`."""
        self._path = path
        self._network = network
        self._token = secrets.token_hex(16)
        self._count = 0
        self._renewed_s = renewed_s or (RENEWED_S if network else RENEWED_LOCALLY_S)
        self._stop = threading.Event()
        self._problem = ""
        check_lease(path, network)
        try:
            self._write()
        except OSError:
            if network:
                raise  # a full local disk: the lock does
        if network:
            self._stop.wait(settle_s)
            if problem := self.problem():
                raise InputError(problem)
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def _write(self) -> None:
        self._count += 1
        lease = _myself(self._path) | {
            "token": self._token,
            "count": self._count,
            "time": time.time(),
            "every_s": self._renewed_s,
            "network": self._network,
        }
        temporary = self._path.with_name(f"{self._path.name}.{self._token[:8]}")
        try:
            with open_private(temporary, "w") as file:
                json.dump(lease, file)
                if self._network:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(self._path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _renew(self) -> None:
        while not self._stop.wait(self._renewed_s):
            if self.problem():
                return  # somebody else's now
            with contextlib.suppress(OSError):  # a full disk; the file still says who has it
                self._write()

    def problem(self) -> str:
        """Returns who has taken the folder from this process; empty while it has it."""
        if self._problem:
            return self._problem
        lease = read_lease(self._path)
        if lease is not None and lease.get("token") != self._token:
            self._problem = (
                f"{self._path.parent}: taken by another access point, {_named(lease)}, whose lock "
                "does not meet this one's; stop one of them"
            )
        return self._problem

    def close(self) -> None:
        """Gives the folder up."""
        self._stop.set()
        self._thread.join()
        if not self.problem():
            self._path.unlink(missing_ok=True)


def check_lease(path: Path, network: bool) -> None:
    """Raises :class:`InputError` where a lease is held by a process that lives.

    The lock must be held. A lease of another machine is watched for some of its intervals.
    """
    lease = read_lease(path)
    if lease is None:
        return
    lives = _lives_here(path, lease, network)
    if lives is None:
        lives = _changes(path, lease)
    if lives:
        raise InputError(
            f"{path.parent}: in use by another access point, {_named(lease)}; stop it, or use "
            "another --data-dir"
        )


def read_lease(path: Path) -> dict[str, object] | None:
    """Reads a lease; None where there is none that can be read."""
    try:
        lease = json.loads(read_regular(path, _BYTES_MAX))
    except (OSError, ValueError, RecursionError):
        return None
    return lease if isinstance(lease, dict) else None


def _changes(path: Path, lease: dict[str, object]) -> bool:
    every = lease.get("every_s")
    every_s = min(float(every), _LONGEST_S) if isinstance(every, int | float) else RENEWED_S
    until = time.monotonic() + _WATCHED * every_s
    while time.monotonic() < until:
        time.sleep(min(0.1, every_s / 10))
        now = read_lease(path)
        if now is None:
            return False
        if now != lease:
            return True
    return False


def _lives_here(path: Path, lease: dict[str, object], network: bool) -> bool | None:
    """Tells whether the holder lives; None for one whose processes cannot be looked up here."""
    me = _myself(path)
    same = {name for name in me if me[name] and lease.get(name) == me[name]}
    if "boot" not in same:
        return False if "machine" in same else None  # it has been started anew since
    if not {"host", "space"} <= same:
        return None if network else False  # another container: the lock has met its own
    if "lock" not in same and not lease.get("network"):
        return False  # a copy of somebody's folder
    number = lease.get("pid")
    started = _started(number) if isinstance(number, int) else ""
    return bool(started) and started == lease.get("started")


def _named(lease: dict[str, object]) -> str:
    return f"process {lease.get('pid')} on {str(lease.get('host'))[:64]!r}"


def _myself(path: Path) -> dict[str, object]:
    """Names this process and the folder's lock, as far as the system tells."""
    try:
        state = path.with_suffix(".lock").stat()
        lock = f"{state.st_dev}:{state.st_ino}"
    except OSError:
        lock = ""
    return {
        "host": socket.gethostname(),
        "machine": _text(Path("/etc/machine-id")),
        "boot": _text(Path("/proc/sys/kernel/random/boot_id")),
        "space": _link(Path("/proc/self/ns/pid")),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "lock": lock,
    }


def _started(number: int) -> str:
    """Returns when a process started, in ticks since the boot (proc(5), stat, field 22)."""
    _, _, fields = _text(Path(f"/proc/{number}/stat")).rpartition(")")
    return fields.split()[19] if len(fields.split()) > 19 else ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
