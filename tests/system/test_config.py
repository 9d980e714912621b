"""``--config``: the example files start the services, and every option of before is there."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import accesspoint.cli
import airreid.gallery_cli
import channel_sim.cli
import edge.cli
from airreid.config_file import read_config
from airreid.errors import AirReidError
from airreid.flags import fields_of
from simulation.processes import Role

from .conftest import ANY, System

EXAMPLES = Path(__file__).parents[2] / "deploy/config"
APPS = {
    "ap": accesspoint.cli.app,
    "channel": channel_sim.cli.app,
    "edge": edge.cli.app,
    "gallery": airreid.gallery_cli.app,
}
BEFORE: dict[str, dict[str, dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "options.json").read_text()
)
"""Options of commands before they were made of settings models: name -> default and help."""


def options_of(command: str) -> dict[str, dict[str, Any]]:
    role, name = command.split()
    group: Any = typer.main.get_command(APPS[role])
    options = {}
    for option in group.commands[name].params:
        if option.param_type_name == "option" and option.name != "help":
            default = getattr(option.default, "value", option.default)
            plain = isinstance(default, bool | int | float | str | list | None)
            options["/".join([*option.opts, *option.secondary_opts])] = {
                "default": default if plain else str(default),
                "help": option.help,
            }
    return options


@pytest.mark.parametrize("command", BEFORE)
def test_every_option_has_its_name_default_and_help(command: str) -> None:
    now = options_of(command)
    assert {name: now.get(name) for name in BEFORE[command]} == BEFORE[command]
    later = {
        "ap serve": {
            *("--grpc-message-mib", "--http-connections", "--read-only"),
            *("--allow-network-filesystem", "--public-origin", "--root-path"),
            *("--accepted-loss", "--most-uses", "--more-growth"),
        },
        "channel serve": {
            *("--parameter", "--insecure-no-auth", "--round-trip-ms", "--symbol-rate"),
        },
        "edge serve": {"--insecure-no-auth", "--bandwidth", "--target-outage"},
        "edge send": {"--bandwidth", "--target-outage", "--json-out"},
        "channel set": {"--parameter", "--json-out"},
        "gallery calibrate": {
            *("--confidence", "--new-cameras", "--min-true-matches", "--json-out", "--figure"),
        },
        "gallery policy": {"--restore", "--json", "--json-out"},
        "gallery enroll": {"--all-or-nothing", "--json", "--json-out"},
    }
    assert set(now) - set(BEFORE[command]) - {"--config"} == later.get(command, set())
    assert ("--config" in now) == (command in ("ap serve", "channel serve", "edge serve"))


def refused(role: str, *arguments: object) -> str:
    result = CliRunner().invoke(APPS[role], ["serve", *map(str, arguments)])
    assert isinstance(result.exception, AirReidError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_the_examples_start_a_chain_and_options_win(system: System, tmp_path: Path) -> None:
    for path in EXAMPLES.glob("*.toml"):
        shutil.copy(path, tmp_path)
    (tmp_path / "crops").mkdir()
    config = ["--config", str(tmp_path / "accesspoint.toml")]
    with Role("access point", ["ap", "serve", *config, "--grpc", ANY, "--http", ANY]):
        assert (tmp_path / "airreid-data").is_dir()
    config = ["--config", str(tmp_path / "channel.toml")]
    upstream = ["--listen", ANY, "--upstream", system.ap_target]
    with Role("channel", ["channel", "serve", *config, *upstream]) as channel:
        expected = {"model": "rician", "k_factor_db": 9.0, "doppler": 0.05, "seed": 7}
        assert expected.items() <= channel.ready.items()
        assert channel.ready["snr_range_db"] == [0.0, 10.0]
    with Role("channel", ["channel", "serve", *config, *upstream, "--snr", "5"]) as channel:
        assert channel.ready["snr_db"] == 5.0
        assert "snr_range_db" not in channel.ready
        assert channel.ready["k_factor_db"] == 9.0
    with Role("channel", ["channel", "serve", *config, *upstream, "--model", "awgn"]) as channel:
        assert channel.ready["model"] == "awgn"
        assert "k_factor_db" not in channel.ready
    config = ["--config", str(tmp_path / "edge.toml"), "--listen", ANY]
    to = ["--to", system.channel_target]
    with Role("edge", ["edge", "serve", *config, *to, "--edge-id", "cam-9"]) as camera:
        assert camera.ready["edge_id"] == "cam-9"
        assert camera.ready["watch"] == str(tmp_path / "crops")
        assert camera.ready["scheme"] == "jscc-ae-256"
        assert (tmp_path / "spool/spool.sqlite").is_file()


@pytest.mark.parametrize("name", ["accesspoint", "channel", "edge"])
def test_also_what_the_examples_comment_out_is_right(name: str, tmp_path: Path) -> None:
    models = {
        "accesspoint": accesspoint.cli.ServeSettings,
        "channel": channel_sim.cli.ServeSettings,
        "edge": edge.cli.ServeSettings,
    }
    lines = (EXAMPLES / f"{name}.toml").read_text().splitlines()
    code = [line.removeprefix("# ") if "[" in line or " = " in line else line for line in lines]
    (tmp_path / "all.toml").write_text("\n".join(code))
    table = read_config(tmp_path / "all.toml", models[name])
    assert len(table) > len(tomllib.loads("\n".join(lines)))
    keys = {field.path[0] for field in fields_of(models[name])}
    assert set(table) <= keys


def test_a_relative_trace_lies_beside_its_file(tmp_path: Path) -> None:
    (tmp_path / "drive.csv").write_text("snr_db\n1\n2\n")
    (tmp_path / "channel.toml").write_text('[link]\nsnr_trace = "drive.csv"\n')
    arguments = ["--listen", ANY, "--upstream", "127.0.0.1:1"]
    with Role(
        "channel", ["channel", "serve", "--config", str(tmp_path / "channel.toml"), *arguments]
    ) as channel:
        assert channel.ready["snr_trace"].startswith(str(tmp_path / "drive.csv"))
    (tmp_path / "drive.csv").unlink()
    assert "drive.csv" in refused("channel", "--config", tmp_path / "channel.toml")


@pytest.mark.parametrize(
    ("role", "text", "words"),
    [
        ("ap", "[uplink]\nwindw = 3", "no key uplink.windw; near it: uplink.window"),
        ("ap", "[uplink]\nwindow = 0", "uplink.window: Input should be greater than or equal to 1"),
        ("ap", "kept_mib = 3", "near it: uplink.kept_bytes"),
        ("ap", "[tls]\ncert = 'c'", "TLS needs both"),
        ("ap", "[uplink]\ndrop_after_ms = 5.0", "choose drop 'oldest' with it"),
        ("ap", "[gallery]\nindex = 'milvus'", "mistake.toml: [milvus]: needs uri"),
        ("ap", "[milvus]", "mistake.toml: [milvus]: needs uri"),
        ("ap", "[tls]", "mistake.toml: [tls]: TLS needs both cert and key"),
        ("ap", "grpc = ':0'", "mistake.toml: grpc: write HOST:PORT"),
        ("edge", "[watch]", "mistake.toml: watch.folder: is needed"),
        ("edge", "listen = ':0'", "mistake.toml: listen: write HOST:PORT"),
        ("edge", "top_k = 1e3", "mistake.toml: top_k: needs a whole number"),
        ("channel", "listen = ':0'", "mistake.toml: listen: write HOST:PORT"),
        ("channel", "[link]\nseed = 1.0", "link.seed: needs a whole number"),
        ("channel", "[link]\nsnr_range_db = ['0', true]", "link.snr_range_db.0: needs a number"),
        ("ap", "[milvus]\nuri = 'nowhere'", "milvus.uri: "),
        ("edge", "[watch]\nafter = 'delete'", "watch.folder: is needed"),
        ("edge", "answer_timeout = 3", "near it: uplink.answer_seconds"),
        ("edge", "[uplink]\nanswer_seconds = 0", "uplink.answer_seconds: "),
        ("edge", "stdin = true", "mistake.toml: watch and stdin need spool"),
        ("channel", "[link]\nmodel = 'rain'", "link.model: "),
        ("channel", "[link]\nk_factor_db = 3", "k_factor_db: model awgn has none"),
        ("channel", "[link]\nsnr = 3", "near it: link.snr_db"),
        ("channel", "model = 'awgn'", "near it: link.model"),
    ],
)
def test_mistakes_in_a_file(role: str, text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mistake.toml"
    path.write_text(text)
    assert words in refused(role, "--config", path)


def test_mistakes_in_options_are_told_as_before(tmp_path: Path) -> None:
    assert "TLS needs both --tls-cert and --tls-key" in refused("ap", "--tls-cert", "c")
    assert "--tls-client-ca needs" in refused("ap", "--tls-client-ca", "c")
    assert "choose drop 'oldest' with it" in refused("ap", "--drop-after-ms", 5)
    assert "need --spool" in refused("edge", "--watch", tmp_path)
    assert "need --spool" in refused("edge", "--stdin", "--after", "delete")
    assert "--answer-timeout: " in refused("edge", "--answer-timeout", 0)
    assert "--deadline: " in refused("edge", "--deadline", "nan")
    assert "give one of --snr" in refused("channel", "--snr", 3, "--snr-range", 1, 2)
    assert "link snr_db: " in refused("channel", "--snr", 900)
