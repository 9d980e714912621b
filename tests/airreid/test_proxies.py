"""A company's proxy in the environment: only what is far away goes through it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from airreid.client import MESSAGE_OPTIONS, Connection
from airreid.credentials import NOBODY
from airreid.errors import LinkError
from airreid.proxies import DIRECT, grpc_options, is_private, proxy_hint

NOWHERE = "http://127.0.0.1:9"
PUBLIC = "8.8.8.8:50052"


@pytest.fixture
def service() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@contextlib.contextmanager
def proxy() -> Iterator[tuple[str, list[str]]]:
    """Yields a proxy's URL and the first line of each request that it gets and refuses."""
    lines: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near, _ = listener.accept()
                    with near:
                        lines.append(near.recv(4096).partition(b"\r\n")[0].decode())
                        near.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", lines
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY"])
def test_this_machine_is_reached_directly(
    service: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, NOWHERE)
    with Connection(service, 30.0):
        pass

    async def ready() -> None:
        async with NOBODY.aio_channel(service, MESSAGE_OPTIONS) as channel:
            await asyncio.wait_for(channel.channel_ready(), 30)

    asyncio.run(ready())


def test_what_is_far_away_goes_through_the_proxy_unless_it_is_excepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with proxy() as (url, lines):
        monkeypatch.setenv("HTTPS_PROXY", url)
        with pytest.raises(LinkError, match="no answer"), Connection(PUBLIC, 2.0):
            pass
        assert set(lines) == {f"CONNECT {PUBLIC} HTTP/1.1"}
        monkeypatch.setenv("NO_PROXY", "8.8.8.8")
        assert grpc_options(PUBLIC) == [DIRECT]


def test_a_proxy_is_named_where_nothing_answers() -> None:
    through = {"HTTPS_PROXY": "http://user:secret@10.0.0.9:3128"}
    assert "asked through the proxy http://10.0.0.9:3128, no_proxy" in proxy_hint(PUBLIC, through)
    assert proxy_hint("127.0.0.1:50052", through) == ""
    assert proxy_hint(PUBLIC, {}) == proxy_hint(PUBLIC, through | {"no_proxy": "*"}) == ""
    with proxy() as (url, _), pytest.MonkeyPatch.context() as environment:
        environment.setenv("https_proxy", url)
        with pytest.raises(LinkError, match=f"asked through the proxy {url}, no_proxy"):
            Connection(PUBLIC, 2.0)


def test_a_proxy_that_grpc_cannot_use_is_passed_over() -> None:
    """gRPC would log a line of its own and go there directly."""
    socks = {"https_proxy": "socks5://10.0.0.9:1080"}
    assert grpc_options(PUBLIC, socks) == [DIRECT]
    assert "proxy socks5://10.0.0.9:1080 is not used" in proxy_hint(PUBLIC, socks)
    assert proxy_hint("192.168.1.7:50052", socks) == ""
    both = socks | {"http_proxy": "10.0.0.9:3128"}
    assert grpc_options(PUBLIC, both) == [("grpc.http_proxy", "http://10.0.0.9:3128")]


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:50051",
        "[::1]:50051",
        "localhost:50051",
        "edge:50051",  # another container
        "radio.local:50051",
        "10.1.2.3:50051",
        "192.168.0.7:50051",
        "172.16.9.9:1",
        "[fd00::1]:50051",
        "169.254.1.1:1",
        "unix:/run/ap.sock",
        "http://milvus:19530",
        "https://10.0.0.1:19530",
        "dns:///localhost:1",
        "ipv4:127.0.0.1:5",
    ],
)
def test_private_targets_need_no_proxy(target: str) -> None:
    assert grpc_options(target, {"http_proxy": NOWHERE}) == [DIRECT]


@pytest.mark.parametrize(
    ("exceptions", "direct"),
    [
        ("", False),
        ("8.8.8.8", True),
        ("8.8.0.0/16", True),
        ("8.8.4.4", False),
        ("8.8.8.8:50052", True),
        ("8.8.8.8:443", False),
        ("intra, *", True),
        (" .example.org , 8.8.8.8 ", True),
    ],
)
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY", "no_grpc_proxy"])
def test_exceptions_count_in_small_letters_and_in_capitals(
    exceptions: str, direct: bool, variable: str
) -> None:
    options = grpc_options(PUBLIC, {"http_proxy": NOWHERE, variable: exceptions})
    assert options == ([DIRECT] if direct else [("grpc.http_proxy", NOWHERE)])


def test_names_are_excepted_by_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airreid.proxies.is_private", lambda host: False)
    for entry in ("example.org", ".example.org", "*.example.org", "AP.Example.ORG"):
        assert grpc_options("ap.example.org:1", {"http_proxy": NOWHERE, "NO_PROXY": entry}) == [
            DIRECT
        ]
    for entry in ("le.org", "example.com", "other.example.org"):
        assert grpc_options("ap.example.org:1", {"http_proxy": NOWHERE, "NO_PROXY": entry}) != [
            DIRECT
        ]


def test_a_full_name_is_private_if_all_its_addresses_are(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = ["10.0.0.1", "192.168.1.1"]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", (a, 0)) for a in addresses]
    )
    assert is_private("ap.example.org")
    addresses.append("8.8.8.8")
    assert not is_private("ap.example.org")


def test_without_a_proxy_there_is_none() -> None:
    assert grpc_options(PUBLIC, {}) == [DIRECT]
    assert grpc_options(PUBLIC, {"http_proxy": "proxy.example:3128"}) == [
        ("grpc.http_proxy", "http://proxy.example:3128")
    ]
