"""Ages that a change of the wall clock does not touch."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NO_BOOT_ID = uuid.uuid4().hex
"""Stands in where the system names no boot: then every process counts as a boot."""


@dataclass(frozen=True)
class Moment:
    """A point in time, as it is stored."""

    wall: float
    """Seconds since 1970, as the wall clock says; it may jump."""
    boot_id: str
    uptime: float
    """Seconds since this boot, suspension included; never goes back."""


def now() -> Moment:
    """The present moment."""
    try:
        boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
        uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError):
        boot_id, uptime = _NO_BOOT_ID, time.monotonic()
    return Moment(time.time(), boot_id, uptime)
