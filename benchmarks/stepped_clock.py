"""A wall clock that is stepped while processes run, as an operator or NTP steps a machine's.

``python -m benchmarks.stepped_clock FILE ARGUMENTS...`` runs ``airreid ARGUMENTS...`` whose
``time.time()`` is the machine's and the offset in the file. Everything that this project does by
the time of day asks that function. Clocks that only go forward are left alone, and so is what
libraries in C ask of the system (certificates of TLS, for one): a faked system clock would have
their waits end at times that the kernel does not know.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path

_OFFSET = struct.Struct("<d")
_machines_time = time.time


class SteppedClock:
    """Clock of processes that share a file; a single one steps it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(_OFFSET.pack(0.0))

    @property
    def offset(self) -> float:
        """Seconds by which the clock is ahead of the machine's."""
        return float(_OFFSET.unpack(self.path.read_bytes())[0])

    def step(self, offset: float) -> None:
        """Sets the clock to the machine's and so many seconds."""
        with self.path.open("r+b") as file:
            file.write(_OFFSET.pack(offset))

    def time(self) -> float:
        """Returns the time of the stepped clock."""
        return _machines_time() + self.offset


def follow(path: Path) -> None:
    """Has ``time.time()`` of this process follow a clock's file."""
    with path.open("rb") as file:
        offset = mmap.mmap(file.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)
    time.time = lambda: _machines_time() + _OFFSET.unpack_from(offset)[0]


def main() -> None:
    follow(Path(sys.argv.pop(1)))
    from airreid.cli import main as airreid

    airreid()


if __name__ == "__main__":
    main()
