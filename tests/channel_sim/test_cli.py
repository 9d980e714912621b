"""``airreid channel``: what it prints, and one line for a mistake."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from airreid.client import ChannelClient
from airreid.errors import AirReidError, InputError, LinkError
from channel_sim.cli import app
from simulation.processes import Role

ANY = "127.0.0.1:0"


@pytest.fixture(scope="module")
def channel() -> Iterator[Role]:
    arguments = ["--model", "rayleigh", "--snr", "5", "--no-csi", "--metrics", ANY]
    nobody = "127.0.0.1:1"
    with Role(
        "channel", ["channel", "serve", "--listen", ANY, "--upstream", nobody, *arguments]
    ) as role:
        yield role


@pytest.fixture
def address(channel: Role) -> Iterator[str]:
    target = f"127.0.0.1:{channel.ready['grpc_port']}"
    yield target
    with ChannelClient(target) as client:
        for link in ["", *client.links().links]:
            client.reset(link)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception:
        raise result.exception
    return result.stdout


def refused(*arguments: object) -> str:
    with pytest.raises(AirReidError) as error:
        run(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_serve_says_what_it_is_set_to(channel: Role) -> None:
    expected = {"model": "rayleigh", "snr_db": 5.0, "seed": 0, "csi": False, "doppler": 0.0}
    assert expected.items() <= channel.ready.items()


def test_set_show_links_and_reset(address: str) -> None:
    line = run("set", "--link", "cam-1", "--snr", -3, "--to", address)
    assert line == "cam-1: model rayleigh, snr_db -3, seed 0, csi False, doppler 0\n"
    run("set", "--link", "cam-1", "--doppler", 0.01, "--csi", "--to", address)
    shown = json.loads(run("show", "--link", "cam-1", "--json", "--to", address))
    assert shown == {
        **{"link": "cam-1", "own": True, "model": "rayleigh", "snr_db": -3.0, "seed": 0},
        **{"csi": True, "doppler": 0.01, "stats": [], "schema": "airreid channel show 1"},
    }
    assert "cam-2 (as the default): model rayleigh, snr_db 5" in run(
        "show", "--link", "cam-2", "--to", address
    )
    assert run("show", "--to", address).startswith("default: model rayleigh, snr_db 5")
    assert run("set", "--model", "awgn", "--snr-range", -5, 5, "--to", address) == (
        "default: model awgn, snr_range_db low=-5 high=5, seed 0\n"
    )
    listed = json.loads(run("links", "--json", "--to", address))
    assert [row["link"] for row in listed] == ["default", "cam-1"]
    assert listed[0]["snr_range_db"] == {"low": -5.0, "high": 5.0}
    assert "cam-1" in run("links", "--to", address)
    run("reset", "--link", "cam-1", "--to", address)
    assert "model rayleigh, snr_db 5" in run("reset", "--to", address)
    assert len(json.loads(run("links", "--json", "--to", address))) == 1


def test_every_option_reaches_the_link(address: str, tmp_path: Path) -> None:
    trace = tmp_path / "drive.csv"
    trace.write_text("snr_db\n1\n2\n")
    for arguments, expected in (
        (("--model", "rician", "--k-factor", 3), {"k_factor_db": 3.0}),
        (
            ("--model", "impulsive", "--impulse-probability", 0.2, "--impulse-ratio", 30),
            {"impulse_probability": 0.2, "impulse_ratio_db": 30.0},
        ),
        (
            ("--model", "erasure", "--erasure-probability", 0.2, "--erasure-unit", "real"),
            {"erasure_probability": 0.2, "erasure_unit": "real"},
        ),
        (("--trace", trace), {"snr_trace": {"name": str(trace), "rows": 2}}),
        (("--seed", 2**64 - 1), {"seed": 2**64 - 1}),
    ):
        got = json.loads(run("set", "--link", "cam", *arguments, "--json", "--to", address))
        assert expected.items() <= got.items()


def test_metrics_are_served(channel: Role) -> None:
    url = f"http://127.0.0.1:{channel.ready['metrics_port']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as page:
        assert b"airreid_channel_upstream_errors_total 0.0" in page.read()


def test_mistakes(address: str, tmp_path: Path) -> None:
    assert "nothing to change" in refused("set", "--to", address)
    assert "link k_factor_db: model rayleigh has none" in refused(
        "set", "--k-factor", 3, "--to", address
    )
    assert "link snr_db" in refused("set", "--snr", 900, "--to", address)
    assert "link seed" in refused("set", "--seed", -1, "--to", address)
    assert "no such file" in refused("set", "--trace", tmp_path / "none.csv", "--to", address)
    assert "give one of --snr" in refused("set", "--snr", 3, "--snr-range", 1, 2, "--to", address)
    assert "interval_seconds" in refused("watch", "--every", 0.001, "--to", address)
    for arguments, says in (
        (("--model", "rain"), "link model"),
        (("--snr", 3, "--snr-range", 1, 2), "give one of --snr, --snr-range and --trace"),
        (("--csi",), "link csi: model awgn has none"),
    ):
        with pytest.raises(InputError, match=says):
            run("serve", "--listen", ANY, *arguments)
    with pytest.raises(LinkError, match=f"cannot serve metrics on {address}"):
        Role("channel", ["channel", "serve", "--listen", ANY, "--metrics", address])


def test_nobody_there() -> None:
    with pytest.raises(LinkError, match="or give another --to"), ChannelClient("127.0.0.1:1", 0.2):
        pass
