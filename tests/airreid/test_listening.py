"""A listener that asks nobody for a credential stays on this machine, unless told in words."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from accesspoint.settings import ServeSettings as AccessPointSettings
from accesspoint.settings import check_exposure
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
