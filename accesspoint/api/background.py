"""Work of an access point by itself: the expired is deleted, and what is kept is compared."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator

from accesspoint.api.audit import Audit
from accesspoint.api.auth import Principal
from accesspoint.api.job_kinds import scrub_report
from accesspoint.errors import NotReadyError
from accesspoint.gallery.gallery import Gallery
from airreid import log
from airreid.errors import AirReidError

_EXPIRY = Principal("expiry", "local", frozenset())
"""Principal of automatic deletions in the audit log."""
SCRUBBED = "scrubbed_at"
"""Setting of the gallery that says when it was last scrubbed, in seconds since 1970."""
_LOOK_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
"""Pause after each piece of a scrub in the background, so that nobody waits for it."""


@contextlib.contextmanager
def _thread(name: str, work: Callable[[threading.Event], None]) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def expiry(
    gallery: Gallery, audit: Audit, seconds: float
) -> contextlib.AbstractContextManager[None]:
    """Deletes what has expired, every ``seconds``, in a thread."""

    def record(entries: list[int], subjects: list[str]) -> None:
        log.event("expired", entries=len(entries), subjects=len(subjects))
        audit.record(_EXPIRY, "expire", entries=entries, subjects=subjects)

    gallery.maintenance.on_expired(record)

    def work(stop: threading.Event) -> None:
        while not stop.wait(seconds):
            try:
                gallery.maintenance.expire_due(time.time())
            except (AirReidError, OSError, sqlite3.Error) as error:  # next time, then
                log.warning("expiry_failed", error=str(error))

    return _thread("expiry", work)


class _StoppedError(Exception):
    """Raised in a scrub that is to end with the access point."""


def scrubbing(
    gallery: Gallery, audit: Audit, hours: float
) -> contextlib.AbstractContextManager[None]:
    """Scrubs the gallery every ``hours``, restarts included, in a thread; 0: never."""

    def work(stop: threading.Event) -> None:
        def pause() -> None:
            if stop.wait(_PAUSE_SECONDS):
                raise _StoppedError

        while hours and not stop.wait(min(_LOOK_SECONDS, hours * 3600)):
            try:
                if 0 <= time.time() - _last_scrub(gallery) < hours * 3600:
                    continue
                _scrub(gallery, audit, pause)
                gallery.set_setting(SCRUBBED, str(time.time()))
            except _StoppedError:
                return
            except NotReadyError:  # the disk or the files: readiness says so
                continue
            except (AirReidError, OSError, sqlite3.Error, ValueError) as error:
                log.warning("scrub_failed", error=str(error))

    return _thread("scrub", work)


def _last_scrub(gallery: Gallery) -> float:
    """Returns when a gallery was last scrubbed; minus infinity where nobody knows."""
    try:
        return float(gallery.setting(SCRUBBED) or -math.inf)
    except ValueError:
        return -math.inf


def _scrub(gallery: Gallery, audit: Audit, pause: Callable[[], None]) -> None:
    report = scrub_report(gallery, audit, pause=pause)
    if report["clean"]:
        log.event("scrubbed", entries=report["entries"])
    else:
        log.warning("scrub_found_damage", report=json.dumps(report))
