"""Memory and processor time of a process, and arguments that start a role as a process."""

from __future__ import annotations

import os
from pathlib import Path

ANY_PORT = "127.0.0.1:0"
_STATUS = Path("/proc")


def rss_mib(pid: int) -> float:
    """Returns the resident memory of a process in MiB."""
    for line in (_STATUS / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    """Returns the processor time that a process has taken, in seconds."""
    fields = (_STATUS / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def access_point_arguments(folder: Path) -> list[str]:
    """Returns ``airreid`` arguments that serve the gallery in ``folder`` on free ports."""
    listen = ["--grpc", ANY_PORT, "--http", ANY_PORT]
    return ["ap", "serve", "--data-dir", str(folder), *listen]


def channel_arguments(upstream: str, snr_db: float = 10.0) -> list[str]:
    """Returns ``airreid`` arguments of a channel before ``upstream``, on a free port."""
    return ["channel", "serve", "--listen", ANY_PORT, "--upstream", upstream, "--snr", f"{snr_db}"]
