"""Sockets of a port that a library serves, found among those of this process.

gRPC's C library shows nobody its sockets, but they are this process's: how many bytes a connection
has brought is asked of the kernel, and a connection can be ended from beside the library. Linux
only: elsewhere no socket is ever found.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import ipaddress
import os
import socket
import stat
import struct
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

Peer = tuple[str, int]
"""Address and port at the other end."""
_DESCRIPTORS = Path("/proc/self/fd")
_TCP_INFO = 11
_BYTES_RECEIVED = struct.Struct("=128xQ")
"""Place of the bytes received in the kernel's ``tcp_info``, since Linux 4.1."""
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_TCP = getattr(socket, "IPPROTO_TCP", 6)
_ADDRESS_BYTES = 16
BANS_MAX = 256
"""Networks that a port refuses at once, at most."""


@dataclass(frozen=True)
class Connection:
    """An accepted connection, as it was when it was found."""

    descriptor: int
    inode: int
    peer: Peer


@functools.lru_cache(1024)
def plain_address(address: str) -> str:
    """Returns an address in its shortest form; IPv4 within IPv6 as IPv4."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)


def peer_of(name: str) -> Peer | None:
    """Reads a peer as gRPC names it (``ipv4:127.0.0.1:50``, ``ipv6:%5B::1%5D:50``)."""
    kind, _, rest = name.partition(":")
    host, _, port = rest.rpartition(":")
    if kind not in ("ipv4", "ipv6") or not port.isdecimal():
        return None
    with contextlib.suppress(ValueError):
        return plain_address(host.replace("%5B", "").replace("%5D", "").strip("[]")), int(port)
    return None


@functools.lru_cache(1024)
def network_of(address: str) -> str:
    """Returns what a ban covers: an IPv4 address, or the 64 bits of IPv6 that one site has."""
    bits = 32 if "." in address else 64
    return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))


@contextlib.contextmanager
def _lent(descriptor: int) -> Iterator[socket.socket]:
    """Lends a socket object for a descriptor, which stays open; for either kind of address."""
    lent = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 0, fileno=descriptor)
    try:
        yield lent
    finally:
        lent.detach()


class PortSockets:
    """Sockets of one port: its listeners, and the connections that it has taken."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._known: dict[int, tuple[int, Connection | None]] = {}
        """Inode of each socket by descriptor, and the connection if it is one of the port."""
        self._listeners: dict[int, int] = {}
        """Inodes of the port's listeners by descriptor."""

    def connections(self) -> list[Connection]:
        """Returns the connections that are open now; for want of a descriptor to look with, those
        that were open before."""
        if sys.platform != "linux":
            return []
        with contextlib.suppress(OSError):
            self._look()
        return [connection for _, connection in self._known.values() if connection is not None]

    def _look(self) -> None:
        names = os.listdir(_DESCRIPTORS)  # noqa: PTH208 (names are enough, and quicker)
        before, self._known = self._known, {}
        self._listeners = {fd: inode for fd, inode in self._listeners.items() if fd in before}
        for name in names:
            descriptor = int(name)
            with contextlib.suppress(OSError):
                status = os.fstat(descriptor)
                if not stat.S_ISSOCK(status.st_mode):
                    continue
                known = before.get(descriptor)
                if known is None or known[0] != status.st_ino:
                    known = status.st_ino, self._classified(descriptor, status.st_ino)
                self._known[descriptor] = known

    def _classified(self, descriptor: int, inode: int) -> Connection | None:
        self._listeners.pop(descriptor, None)
        with _lent(descriptor) as lent:
            if lent.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) != _TCP:
                return None
            if lent.getsockname()[1] != self._port:
                return None
            if lent.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                self._listeners[descriptor] = inode
                return None
            host, port = lent.getpeername()[:2]
            return Connection(descriptor, inode, (plain_address(host), port))

    def received(self, connection: Connection) -> int:
        """Returns the bytes that a connection has brought; 0 where that is not known."""
        with contextlib.suppress(OSError, struct.error), _lent(connection.descriptor) as lent:
            info = lent.getsockopt(_TCP, _TCP_INFO, _BYTES_RECEIVED.size)
            (count,) = _BYTES_RECEIVED.unpack(info)
            return int(count)
        return 0

    def end(self, connection: Connection) -> None:
        """Ends a connection at once, and throws away what it brought and nobody has read."""
        with (
            contextlib.suppress(OSError),
            socket.socket(fileno=os.dup(connection.descriptor)) as ours,
        ):
            if os.fstat(ours.fileno()).st_ino == connection.inode:  # no other that took its number
                # to no address at all: shutting down would leave a paused reader's peer waiting
                ctypes.CDLL(None).connect(ours.fileno(), bytes(_ADDRESS_BYTES), _ADDRESS_BYTES)

    def refuse(self, networks: Collection[str]) -> None:
        """Has the kernel drop what these networks (:func:`network_of`) send to the port's
        listeners; connections that are open go on."""
        program = _program(list(networks)[-BANS_MAX:])
        instructions = ctypes.create_string_buffer(program, len(program))
        pointer = ctypes.addressof(instructions)
        filtered = struct.pack("@HP", len(program) // 8, pointer)
        for descriptor in self._listeners:
            with contextlib.suppress(OSError), _lent(descriptor) as lent:
                if networks:
                    lent.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filtered)
                else:
                    lent.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


_LOAD_BYTE, _LOAD_WORD, _AND, _EQUAL, _RETURN = 0x30, 0x20, 0x54, 0x15, 0x06
"""Instructions of the classic Berkeley packet filter."""
_IP_HEADER = 0xFFF00000
"""Offset at which the filter finds a packet's IP header."""
_SOURCE_4, _SOURCE_6 = 12, 8
"""Offsets of the sender's address in the headers of IPv4 and IPv6."""


def _program(networks: list[str]) -> bytes:
    """Makes a packet filter that drops what the networks send and lets the rest pass."""
    code = bytearray()

    def add(instruction: int, value: int, if_true: int = 0, if_false: int = 0) -> None:
        code.extend(struct.pack("=HBBI", instruction, if_true, if_false, value))

    add(_LOAD_BYTE, _IP_HEADER)
    add(_AND, 0xF0)
    parsed = [ipaddress.ip_network(network) for network in networks]
    for network in parsed:
        # each with the version, which is in A at its beginning: tests short enough to jump over
        words = struct.unpack(">II", network.network_address.packed[:8].ljust(8, b"\0"))
        if network.version == 4:
            add(_EQUAL, 0x40, 0, 3)
            add(_LOAD_WORD, _IP_HEADER + _SOURCE_4)
            add(_EQUAL, words[0], 0, 1)
            add(_RETURN, 0)
        else:
            add(_EQUAL, 0x60, 0, 5)
            add(_LOAD_WORD, _IP_HEADER + _SOURCE_6)
            add(_EQUAL, words[0], 0, 3)
            add(_LOAD_WORD, _IP_HEADER + _SOURCE_6 + 4)
            add(_EQUAL, words[1], 0, 1)
            add(_RETURN, 0)
        add(_LOAD_BYTE, _IP_HEADER)
        add(_AND, 0xF0)
    add(_RETURN, 0xFFFFFFFF)
    return bytes(code)
