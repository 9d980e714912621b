"""Clients that ask every ten seconds whether the server is there keep their connections."""

from __future__ import annotations

import threading
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from simulation.processes import Role

from .conftest import ANY, System

PINGING = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]
"""Options of a client of somebody else's."""
SECONDS = 120.0


def stays_connected(target: str, seconds: float, options: list[tuple[str, int]]) -> bool:
    """Watches a service's health without sending anything; False: the server ended it."""
    with grpc.insecure_channel(target, options=options) as channel:
        watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        next(watching)
        ended = threading.Event()
        watching.add_callback(ended.set)
        return not ended.wait(seconds)


@pytest.mark.slow
def test_a_keepalive_of_ten_seconds_is_welcome_everywhere(system: System, tmp_path: Path) -> None:
    """gRPC servers cut such clients off after three to five pings, if nobody sets their policy."""
    (tmp_path / "crops").mkdir()
    watched = ["--watch", str(tmp_path / "crops"), "--spool", str(tmp_path / "spool")]
    serve = ["edge", "serve", *watched, "--to", system.channel_target, "--listen", ANY]
    with Role("edge", serve) as camera:
        edge = f"127.0.0.1:{camera.ready['grpc_port']}"
        targets = (system.ap_target, system.channel_target, edge)
        stayed = dict.fromkeys(targets, False)

        def watch(target: str) -> None:
            stayed[target] = stays_connected(target, SECONDS, PINGING)

        threads = [threading.Thread(target=watch, args=(target,)) for target in targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(stayed.values()), stayed
