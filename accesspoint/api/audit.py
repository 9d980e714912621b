"""Audit log: who did what to whom, one JSON object a line, on disk before the answer.

Names and numbers only; a feature, an image or a token never comes into it.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

from accesspoint.api.auth import Principal
from airreid import log
from airreid.disk import private_descriptor

FILE_NAME = "audit.jsonl"


class Audit:
    """Writer of ``audit.jsonl`` in the data folder; safe in any thread.

    The file is opened anew for each line, so that it may be moved away (logrotate).
    """

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / FILE_NAME
        self._lock = threading.Lock()

    def record(self, who: Principal, action: str, **fields: object) -> None:
        """Appends a line: time, who, how they showed it, action, fields.

        A disk that cannot take it is logged; what was done stays done.
        """
        line = {
            "time": round(time.time(), 3),
            "who": who.name,
            "by": who.kind,
            "action": action,
            **fields,
        }
        data = (json.dumps(line, ensure_ascii=False) + "\n").encode()
        try:
            with self._lock:
                descriptor = private_descriptor(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                try:
                    os.write(descriptor, data)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        except OSError as error:
            log.warning("audit_write_failed", action=action, error=str(error))
