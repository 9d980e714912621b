"""Structured logs: one JSON object a line on standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


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


def configure(role: str) -> None:
    """Sends the root logger's records to standard error as JSON, from INFO up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(role))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def event(name: str, **fields: object) -> None:
    """Logs one event with its fields. No image, feature or symbol belongs in one."""
    logging.getLogger("airreid").info(name, extra={"fields": fields})


def warning(name: str, **fields: object) -> None:
    """Logs something that somebody should look at."""
    logging.getLogger("airreid").warning(name, extra={"fields": fields})
