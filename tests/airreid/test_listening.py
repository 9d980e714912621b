"""A listener that asks nobody for a credential stays on this machine, unless told in words."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from accesspoint.settings import ServeSettings as AccessPointSettings
from accesspoint.settings import check_exposure
from airreid.addresses import check_free, parse_address
from airreid.bundle import Bundle
from airreid.credentials import check_listening
from airreid.errors import InputError
from channel_sim import service
from channel_sim.settings import ServeSettings as ChannelSettings
from edge import server
from edge.encoder import Encoder
from edge.settings import ServeSettings as EdgeSettings

BEYOND = ("0.0.0.0:0", "[::]:0", "192.0.2.7:0", "10.1.2.3:50050", "camera.example:0")
WITHIN = ("127.0.0.1:0", "127.9.9.9:0", "[::1]:0", "localhost:0")


@pytest.mark.parametrize("address", BEYOND)
def test_every_role_refuses_to_be_open_to_others(
    address: str, bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="--insecure-no-auth"):
        asyncio.run(server.run(Encoder(bundle, 1), EdgeSettings(listen=address)))
    with pytest.raises(InputError, match="--insecure-no-auth"):
        asyncio.run(service.run(ChannelSettings(listen=address)))
    for option in ("grpc", "http"):
        settings = AccessPointSettings.model_validate({option: address, "data_dir": tmp_path})
        with pytest.raises(InputError, match="--insecure-no-auth"):
            check_exposure(settings, has_tokens=False)


@pytest.mark.parametrize("address", BEYOND)
def test_said_in_words_it_is_open_and_logged(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    check_listening(address, insecure_no_auth=True, what="look on")
    [record] = caplog.records
    assert record.message == "listening_beyond_loopback_without_tokens"
    assert record.fields["address"] == address  # type: ignore[attr-defined]


@pytest.mark.parametrize("address", WITHIN)
def test_on_this_machine_nobody_is_asked(address: str, caplog: pytest.LogCaptureFixture) -> None:
    check_listening(address, insecure_no_auth=False, what="look on")
    assert caplog.records == []


def test_a_taken_port_is_one_line_that_names_the_option(
    bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """gRPC has nothing to say of it, and an edge has begun nothing."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=rf"cannot listen on {address}: .*--listen"):
            asyncio.run(service.run(ChannelSettings(listen=address)))
        for changes in ({"listen": address}, {"metrics": address, "listen": "127.0.0.1:0"}):
            settings = EdgeSettings.model_validate({"spool": tmp_path / "spool", **changes})
            with pytest.raises(InputError, match=rf"cannot listen on {address}: .*--"):
                asyncio.run(server.run(Encoder(bundle, 1), settings))
        missing = EdgeSettings.model_validate(
            {"spool": tmp_path / "spool", "watch": {"folder": tmp_path / "none"}, "listen": "off"}
        )
        with pytest.raises(InputError, match="no such folder"):
            asyncio.run(server.run(Encoder(bundle, 1), missing))
    assert not (tmp_path / "spool").exists()
    shown = capfd.readouterr()
    assert shown.out + shown.err == ""


def test_a_free_port_and_an_unknown_host_are_left_to_who_listens() -> None:
    check_free(parse_address("127.0.0.1:0"), "")
    check_free(parse_address("no-such-host.invalid:50051"), "")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    check_free(parse_address(f"127.0.0.1:{port}"), "")
