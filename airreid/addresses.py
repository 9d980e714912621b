"""Addresses to listen on, as users write them."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from airreid.errors import InputError

_PORT_DIGITS = 5
_SOCKETS = ("unix:", "unix-abstract:", "vsock:")
_RESOLVED = re.compile(r"^(?:dns|ipv4|ipv6):(?://[^/]*/)?")
"""Ways of gRPC to say how a name is looked up."""


@dataclass(frozen=True)
class Address:
    """Host and port, as ``HOST:PORT`` says them."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Parses ``127.0.0.1:50051``, ``[::1]:0``. Raises :class:`InputError`."""
    host, colon, port = text.rpartition(":")
    digits = port.isascii() and port.isdigit() and len(port) <= _PORT_DIGITS
    if not colon or not host or not digits or int(port) > 65535:
        raise InputError(f"address {text!r:.80}: write HOST:PORT, for example 127.0.0.1:50051")
    return Address(host.strip("[]"), int(port))


def check_target(text: str) -> None:
    """Raises :class:`InputError` for what no client can connect to.

    ``text``: ``HOST:PORT``, or a name of gRPC's: ``dns:///HOST:PORT``, ``unix:PATH``.
    """
    if text.startswith(_SOCKETS):
        return
    name = _RESOLVED.sub("", text)
    if "://" in name:
        raise InputError(f"{text}: not a URL: write HOST:PORT, for example 127.0.0.1:50051")
    parse_address(name)


def check_free(address: Address, otherwise: str) -> None:
    """Raises :class:`InputError` for an address that nobody can listen on now.

    ``otherwise`` is the way out. gRPC finds it out as well, and prints lines of its own.
    """
    if not address.port:
        return
    try:
        places = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError:
        return  # the one who listens says what is wrong with the host
    failures = []
    for family, kind, protocol, _, place in places:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(place)
            except OSError as error:
                failures.append(error)
            else:
                return
    reason = failures[0].strerror or str(failures[0])
    raise InputError(f"cannot listen on {address}: {reason}; {otherwise}")


def _checked(text: str) -> str:
    try:
        parse_address(text)
    except InputError:
        raise PydanticCustomError(
            "address", "write HOST:PORT, for example 127.0.0.1:50051"
        ) from None
    return text


HostPort = Annotated[str, AfterValidator(_checked)]
"""Text of an address, in a field of settings; the field is named if it is none."""
OFF = "off"
"""Text in place of an address: listen nowhere."""


def _checked_or_off(text: str) -> str:
    return text if text == OFF else _checked(text)


HostPortOrOff = Annotated[str, AfterValidator(_checked_or_off)]
"""Text of an address, or ``off``, in a field of settings."""
