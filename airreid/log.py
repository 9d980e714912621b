"""Structured logs: one JSON object a line on standard error."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

BURST = 200
"""Lines of one event that are written one after the other, and ..."""
PER_SECOND = 10.0
"""... lines a second that it gets back of that."""
_EVENTS_MAX = 256
"""Events that are told apart; all others share their rate."""


class JsonFormatter(logging.Formatter):
    """``{"time", "level", "role", "event", ...fields}``; fields come from ``extra``."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "role": self._role,
            "event": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class RateLimit(logging.Filter):
    """Filter that bounds the lines of each event: whoever can cause one causes no full disk.

    The next line that is written says in ``suppressed`` how many were not.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._rates: dict[object, tuple[float, float, int]] = {}
        """Lines that are left, when that was, and lines that were not written, by event."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether the record is written."""
        key: object = (record.name, record.msg if isinstance(record.msg, str) else "")
        with self._lock:
            if key not in self._rates and len(self._rates) >= _EVENTS_MAX:
                key = ""
            now = self._clock()
            left, since, suppressed = self._rates.get(key, (float(BURST), now, 0))
            left = min(BURST, left + (now - since) * PER_SECOND)
            if left < 1:
                self._rates[key] = (left, now, suppressed + 1)
                return False
            self._rates[key] = (left - 1, now, 0)
        if suppressed:
            record.fields = {**getattr(record, "fields", {}), "suppressed": suppressed}
        return True


def configure(role: str) -> None:
    """Sends the root logger's records to standard error as JSON, from INFO up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(role))
    handler.addFilter(RateLimit())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def event(name: str, **fields: object) -> None:
    """Logs one event with its fields. No image, feature or symbol belongs in one."""
    logging.getLogger("airreid").info(name, extra={"fields": fields})


def warning(name: str, **fields: object) -> None:
    """Logs something that somebody should look at."""
    logging.getLogger("airreid").warning(name, extra={"fields": fields})
