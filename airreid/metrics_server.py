"""HTTP server of metrics for edge and channel: a few connections, each for a short time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from airreid.addresses import Address

CONNECTIONS = 16
"""Connections at once; further ones are closed at once."""
SECONDS = 10.0
"""Time of a connection for its request to come and its answer to be read."""


class MetricsServer(ThreadingHTTPServer):
    """Server of one registry in threads of its own."""

    daemon_threads = True

    def __init__(self, address: Address, registry: CollectorRegistry) -> None:
        """Binds the address. Raises :class:`OSError` where that cannot be done."""
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self._room = threading.BoundedSemaphore(CONNECTIONS)

        class Handler(BaseHTTPRequestHandler):
            timeout = SECONDS

            def do_GET(self) -> None:
                body = generate_latest(registry)
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE_LATEST)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Logs nothing: a scrape is no event."""

        super().__init__((address.host, address.port), Handler)

    def start(self) -> Callable[[], None]:
        """Serves from a thread; returns what ends it."""
        thread = threading.Thread(target=self.serve_forever, name="metrics", daemon=True)
        thread.start()

        def close() -> None:
            self.shutdown()
            self.server_close()
            thread.join()

        return close

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serves a connection in a thread, or closes it where there are too many."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves a connection, and bounds its whole time, not only that of each word."""
        timer = threading.Timer(SECONDS, _end, (request,))
        timer.daemon = True
        timer.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            timer.cancel()
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a peer that went away."""


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)
