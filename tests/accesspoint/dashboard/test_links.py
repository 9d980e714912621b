"""The channel's knobs over REST, on a real channel simulator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from accesspoint.dashboard.links import links_router
from accesspoint.errors import ConflictError, NotReadyError
from airreid.client import ChannelClient
from airreid.errors import InputError
from simulation.processes import Role

NOWHERE = "127.0.0.1:1"


@pytest.fixture(scope="module")
def channel() -> Iterator[str]:
    arguments = ["channel", "serve", "--listen", "127.0.0.1:0", "--upstream", NOWHERE]
    with Role("channel", [*arguments, "--snr", "7", "--seed", "3"]) as role:
        yield f"127.0.0.1:{role.ready['grpc_port']}"


def client(channel: str | None) -> TestClient:
    app = FastAPI()
    app.include_router(links_router(channel))
    return TestClient(app)


def test_set_read_back_and_reset(channel: str) -> None:
    http = client(channel)
    listed = http.get("/v1/links").json()
    assert listed["channel"] == channel
    assert (listed["default"]["model"], listed["default"]["snr_db"]) == ("awgn", 7.0)
    assert listed["links"] == {}
    changed = http.patch("/v1/links", params={"link": "cam/1"}, json={"snr_db": -2.5})
    assert changed.json()["snr_db"] == -2.5
    http.patch("/v1/links", json={"model": "rician", "k_factor_db": 3, "csi": False})
    with ChannelClient(channel) as direct:  # what the channel itself says
        links = direct.links()
    assert links.links["cam/1"].snr_db == -2.5
    assert links.default_settings.model == "rician"
    assert links.default_settings.k_factor_db == 3
    assert not links.default_settings.csi
    assert http.get("/v1/links").json()["default"]["csi"] is False
    assert http.delete("/v1/links").json()["model"] == "awgn"
    assert http.delete("/v1/links", params={"link": "cam/1"}).json()["snr_db"] == 7.0
    assert http.get("/v1/links").json()["links"] == {}


def test_the_channel_says_which_models_there_are(channel: str) -> None:
    models = {model["name"]: model for model in client(channel).get("/v1/links").json()["models"]}
    assert list(models) == ["awgn", "rayleigh", "rician", "impulsive", "erasure"]
    assert models["awgn"]["label"] == "AWGN: white noise"
    csi, doppler, k_factor = models["rician"]["parameters"]
    assert csi == {
        "name": "csi",
        "label": "Receiver knows the gain",
        "low": None,
        "high": None,
        "choices": [],
    }
    assert (doppler["name"], doppler["low"], doppler["high"]) == ("doppler", 0, 10)
    assert (k_factor["label"], k_factor["low"], k_factor["high"]) == ("K factor, dB", -40, 40)
    assert models["erasure"]["parameters"][1]["choices"] == ["complex", "real"]


def test_a_range_takes_the_place_of_an_snr(channel: str) -> None:
    http = client(channel)
    span = http.patch("/v1/links", params={"link": "r"}, json={"snr_range_db": [-3, 6]}).json()
    assert span["snr_range_db"] == [-3, 6]
    assert span["snr_db"] is None
    http.delete("/v1/links", params={"link": "r"})


@pytest.mark.parametrize(
    "change",
    [{"snr_db": 1e9}, {"model": 3}, {"seed": -1}, {"volume": 11}, {"erasure_probability": 2}],
)
def test_a_value_out_of_bounds_is_refused_here(channel: str, change: dict[str, object]) -> None:
    assert client(channel).patch("/v1/links", json=change).status_code == 422


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"doppler": 0.1}, "model awgn has none"),
        ({"model": "magic"}, "link model: Input should be 'awgn', "),
        ({"parameters": {"m": 2}}, "link parameters.m: Extra inputs"),
        ({"snr_range_db": [6, -3]}, "lower SNR first"),
        ({"snr_db": 1, "snr_range_db": [0, 1]}, "give one of them"),
    ],
)
def test_what_the_channel_refuses_is_bad_input(
    channel: str, change: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        client(channel).patch("/v1/links", json=change)


def test_without_a_channel_the_list_says_so_and_a_change_is_refused() -> None:
    http = client(None)
    assert http.get("/v1/links").json() == {
        "channel": None,
        "default": None,
        "links": {},
        "stats": [],
        "models": [],
    }
    with pytest.raises(ConflictError, match="--channel HOST:PORT"):
        http.patch("/v1/links", json={"snr_db": 1})


def test_a_channel_that_is_down_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accesspoint.dashboard.links.CONNECT_SECONDS", 0.5)
    with pytest.raises(NotReadyError, match=r"channel simulator 127\.0\.0\.1:1: no answer"):
        client(NOWHERE).get("/v1/links")
