"""Sockets of a port are found, counted, ended and shut to networks from beside their owner."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator

import pytest

from airreid.port_sockets import Connection, PortSockets, network_of, peer_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's kernel")
SECONDS = 30.0


@pytest.fixture(params=[("127.0.0.1", socket.AF_INET), ("::", socket.AF_INET6)])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A listener of IPv4, or of both as gRPC's are."""
    host, family = request.param
    both = family == socket.AF_INET6
    with socket.create_server((host, 0), family=family, dualstack_ipv6=both) as listening:
        listening.settimeout(SECONDS)
        yield listening


def connected(listener: socket.socket, source: str = "127.0.0.1") -> tuple[socket.socket, ...]:
    """Connects from an address; returns both ends."""
    port = listener.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port), SECONDS, source_address=(source, 0))
    served, _ = listener.accept()
    served.settimeout(SECONDS)
    return client, served


def is_let_in(listener: socket.socket, source: str) -> bool:
    """Says whether a connection from an address comes about."""
    port = listener.getsockname()[1]
    with socket.socket() as client:
        client.bind((source, 0))
        client.settimeout(0.2)  # the kernel answers a listener's neighbour at once, or never
        with contextlib.suppress(TimeoutError):
            client.connect(("127.0.0.1", port))
            listener.accept()[0].close()
            return True
    return False


def test_a_connection_is_found_and_its_bytes_are_counted(listener: socket.socket) -> None:
    client, served = connected(listener)
    sockets = PortSockets(listener.getsockname()[1])
    with client, served:
        [connection] = sockets.connections()
        assert connection.descriptor == served.fileno()
        assert connection.peer == client.getsockname()
        assert sockets.received(connection) == 0
        client.sendall(bytes(1000))
        assert served.recv(1000, socket.MSG_WAITALL) == bytes(1000)
        assert sockets.received(connection) == 1000
        assert sockets.connections() == [connection]
    assert sockets.connections() == []
    assert sockets.received(connection) == 0


def test_an_ended_connection_is_over_at_both_ends(listener: socket.socket) -> None:
    client, served = connected(listener)
    sockets = PortSockets(listener.getsockname()[1])
    with client, served:
        client.sendall(bytes(1000))
        served.recv(1)
        [connection] = sockets.connections()
        sockets.end(connection)
        for end in (client, served):  # what was on its way is not read any more
            with pytest.raises(OSError, match=r"reset|not connected"):
                end.recv(1000)


def test_no_other_socket_is_ended_that_took_the_number(listener: socket.socket) -> None:
    client, served = connected(listener)
    sockets = PortSockets(listener.getsockname()[1])
    with client, served:
        [connection] = sockets.connections()
        sockets.end(Connection(connection.descriptor, connection.inode + 1, connection.peer))
        client.sendall(b"x")
        assert served.recv(1) == b"x"


def test_a_refused_network_makes_no_connection_and_keeps_those_it_has(
    listener: socket.socket,
) -> None:
    client, served = connected(listener, "127.0.0.3")
    sockets = PortSockets(listener.getsockname()[1])
    with client, served:
        sockets.connections()
        many = [f"10.0.{number // 256}.{number % 256}/32" for number in range(400)]
        sockets.refuse([*many, network_of("2001:db8::1"), network_of("127.0.0.3")])
        assert not is_let_in(listener, "127.0.0.3")
        assert is_let_in(listener, "127.0.0.1")
        client.sendall(b"x")
        assert served.recv(1) == b"x"
        sockets.refuse([])
        assert is_let_in(listener, "127.0.0.3")


def test_a_network_of_ipv6_is_refused() -> None:
    with contextlib.ExitStack() as stack:
        try:
            listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
        except OSError:
            pytest.skip("this machine has no IPv6")
        listening.settimeout(SECONDS)
        stack.enter_context(listening)
        sockets = PortSockets(listening.getsockname()[1])
        sockets.connections()
        sockets.refuse([network_of("::1")])
        with socket.socket(socket.AF_INET6) as client:
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.connect(listening.getsockname())
        sockets.refuse([network_of("2001:db8::1")])
        with socket.create_connection(listening.getsockname()[:2], SECONDS):
            pass


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("ipv4:192.0.2.7:50", ("192.0.2.7", 50)),
        ("ipv6:%5B::1%5D:50", ("::1", 50)),
        ("ipv6:[2001:db8:0:0::1]:50", ("2001:db8::1", 50)),
        ("ipv6:[::ffff:192.0.2.7]:50", ("192.0.2.7", 50)),
        ("ipv6:%5Bfe80::1%25eth0%5D:50", ("fe80::1", 50)),
        ("unix:/run/ap.sock", None),
        ("ipv4:nobody:50", None),
        ("", None),
    ],
)
def test_peers_are_read_as_grpc_names_them(name: str, peer: tuple[str, int] | None) -> None:
    assert peer_of(name) == peer


def test_a_ban_covers_what_one_site_has() -> None:
    assert network_of("192.0.2.7") == "192.0.2.7/32"
    assert network_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64"
