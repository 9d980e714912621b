"""The server of metrics: scraped as ever, and not held open by those who say nothing."""

from __future__ import annotations

import contextlib
import socket
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from airreid import metrics_server
from airreid.addresses import Address
from airreid.metrics_server import CONNECTIONS, MetricsServer


@pytest.fixture
def port() -> Iterator[int]:
    registry = CollectorRegistry()
    Counter("asked", "Times.", registry=registry).inc(3)
    server = MetricsServer(Address("127.0.0.1", 0), registry)
    close = server.start()
    yield server.server_port
    close()


def scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text: str = answer.read().decode()
        return text


def test_metrics_are_scraped(port: int) -> None:
    assert "asked_total 3.0" in scraped(port)


def test_silent_connections_are_few_and_end(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setattr(metrics_server, "SECONDS", 0.2)
    silent = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(2 * CONNECTIONS)]
    for client in silent:
        client.settimeout(60)
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b""
        client.close()
    assert "asked_total 3.0" in scraped(port)
