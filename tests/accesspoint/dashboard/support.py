"""A served application, and questions to a page that the tests ask more than once."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Page

from accesspoint.api.guard import Guard


@contextlib.contextmanager
def served(app: FastAPI | Guard) -> Iterator[str]:
    """The application's address; it is served by a thread."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def run(page: Page, module: str, code: str, value: object = None) -> Any:
    """Runs ``code`` with ``m``, a module of the page, and ``x``, a value."""
    script = f"async (x) => {{ const m = await import('/assets/js/{module}.js'); {code} }}"
    return page.evaluate(script, value)


def query(sequence: int = 0, **fields: Any) -> dict[str, Any]:
    """An event as the receiver publishes it."""
    return {
        "type": "query",
        "time": 1_750_000_000.0 + sequence,
        "edge_id": "cam-1",
        "track_id": "",
        "sequence": sequence,
        "scheme": "jscc-ae-64",
        "link": "analog",
        "code": "ok",
        "snr_db": 3.0,
        "model": "awgn",
        "outage": False,
        "uses": None,
        "bandwidth": None,
        "decision": "match",
        "subject": "p1",
        "threshold": 0.5,
        "fused_frames": 1,
        "identities": [{"subject": "p1", "score": 0.9, "entry_id": 1, "camera": "c1"}],
        "queue_ms": 1.0,
        "decode_ms": 2.0,
        "search_ms": 0.5,
        "truth": None,
        **fields,
    }
