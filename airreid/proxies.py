"""Company proxies: which targets a client reaches through one, and which directly.

gRPC alone would send every call through ``http_proxy``, those to this very machine too, and
would know the variables in small letters only.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
"""Variables that name a proxy; the first that is set counts, as for gRPC."""
_USABLE = "http://"
_EXCEPTIONS = ("no_grpc_proxy", "no_proxy")
_LOCAL_NAMES = ("localhost", "local", "lan", "internal", "home.arpa")
"""Ends of names that only a local network knows."""
DIRECT = ("grpc.enable_http_proxy", 0)
"""Option of a gRPC connection that uses no proxy, whatever the variables say."""


def grpc_options(
    target: str, environment: Mapping[str, str] = os.environ
) -> list[tuple[str, int | str]]:
    """Returns the options of a gRPC connection to ``target`` (``HOST:PORT``, or a URL).

    This machine and private networks are always reached directly, and so is what ``no_proxy``
    names; else the connection goes through ``grpc_proxy``, ``https_proxy`` or ``http_proxy``.
    All of them count in small letters and in capitals.
    """
    proxy = proxy_of(target, environment)
    return [("grpc.http_proxy", proxy)] if proxy else [DIRECT]


def proxy_of(target: str, environment: Mapping[str, str] = os.environ) -> str:
    """Returns the URL of the proxy that a target is reached through; empty for none.

    gRPC speaks to proxies over plain HTTP: one of another kind (``socks5://``) is passed over.
    """
    urls = (text if "://" in text else f"http://{text}" for text in _values(_PROXIES, environment))
    proxy = next((url for url in urls if url.startswith(_USABLE)), "")
    if not proxy or _excepted(target, environment) or is_private(_host(target)):
        return ""
    return proxy


def proxy_hint(target: str, environment: Mapping[str, str] = os.environ) -> str:
    """Returns what proxies may have to do with a target that does not answer; empty for nothing."""
    if proxy := proxy_of(target, environment):
        return f"; it is asked through the proxy {_shown(proxy)}, no_proxy names what is not"
    unusable = next(_values(_PROXIES, environment), "")
    if not unusable or _excepted(target, environment) or is_private(_host(target)):
        return ""
    return f"; the proxy {_shown(unusable)} is not used, as gRPC takes http:// ones only"


def _shown(proxy: str) -> str:
    """Hides the password of a proxy's URL."""
    scheme, separator, rest = proxy.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def is_private(host: str) -> bool:
    """Says whether a host is this machine or on a private network, by its address or its name.

    A full name is looked up: it is private if all its addresses are.
    """
    name = host.rstrip(".").lower()
    if "." not in name and ":" not in name:
        return True  # localhost, or a name that the local network adds its own end to
    if any(name == end or name.endswith(f".{end}") for end in _LOCAL_NAMES):
        return True
    try:
        return _is_private_address(name)
    except ValueError:
        pass
    try:
        resolved = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False  # only the proxy may know it
    return all(_is_private_address(str(address[0])) for *_, address in resolved)


def _is_private_address(text: str) -> bool:
    """Raises :class:`ValueError` for what is no address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return address.is_private or address.is_loopback or address.is_link_local


def _excepted(target: str, environment: Mapping[str, str]) -> bool:
    """Says whether ``no_proxy`` names the target: by address, network, or end of its name."""
    host, port = _host(target).lower().rstrip("."), _port(target)
    for text in _values(_EXCEPTIONS, environment):
        for entry in (part.strip().lower() for part in text.split(",")):
            pattern, colon, entry_port = entry.rpartition(":")
            if colon and pattern.count(":") == 0 and entry_port.isdigit():
                if entry_port != port:
                    continue
                entry = pattern
            entry = entry.removeprefix("*").strip("[]") if entry != "*" else entry
            if entry == "*" or (entry and _names(entry, host)):
                return True
    return False


def _names(entry: str, host: str) -> bool:
    """Says whether an entry of ``no_proxy`` names a host."""
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        end = entry.lstrip(".")
        return host == end or host.endswith(f".{end}")


def _values(names: tuple[str, ...], environment: Mapping[str, str]) -> Iterator[str]:
    """Yields the values of variables that are set, in small letters before capitals."""
    for name in names:
        value = environment.get(name) or environment.get(name.upper())
        if value:
            yield value


def _host(target: str) -> str:
    return _parts(target)[0]


def _port(target: str) -> str:
    return _parts(target)[1]


def _parts(target: str) -> tuple[str, str]:
    """Returns host and port of ``HOST:PORT``, ``dns:///HOST:PORT`` or a URL.

    A socket in the file system has no host: it is this machine.
    """
    if target.startswith(("unix:", "unix-abstract:", "vsock:")):
        return "localhost", ""
    if "://" in target and not target.startswith(("dns:", "ipv4:", "ipv6:")):
        target = urlsplit(target).netloc
    else:
        target = target.rpartition("/")[2].removeprefix("dns:").removeprefix("ipv4:")
        target = target.removeprefix("ipv6:")
    host, colon, port = target.rpartition(":")
    if not colon or not port.isdigit():
        return target.strip("[]"), ""
    return host.strip("[]"), port
