"""Settings from a file and the command line: one declaration, one error, options win."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from airreid.addresses import HostPort
from airreid.config_file import Given, read_config
from airreid.credentials import ClientCredentials
from airreid.errors import InputError
from airreid.flags import Flag, Settings
from airreid.settings_options import with_settings


class Radio(Settings):
    """A table of the file."""

    power_mw: Annotated[float, Field(gt=0), Flag("--power")] = 100.0
    """Transmit power in mW.

    The mean.
    """
    kept: Annotated[int, Field(ge=0, le=1 << 30), Flag("--kept-kib", scale=1024)] = 4096
    """KiB that are kept."""


class Tls(Settings):
    """A table that need not be there."""

    cert: Annotated[Path, Flag("--cert")]
    """Certificate."""
    key: Annotated[Path, Flag("--key")]
    """Its key."""


class Service(Settings):
    """A service."""

    listen: Annotated[str, Flag()] = "127.0.0.1:1"
    """HOST:PORT."""
    threads: Annotated[int, Field(ge=1, le=8), Flag()] = 1
    """Threads per network."""
    drop: Annotated[Literal["never", "oldest"], Flag()] = "never"
    """Blocks that are dropped."""
    stdin: Annotated[bool, Flag()] = False
    """Read standard input."""
    hosts: Annotated[tuple[str, ...], Flag("--host")] = ()
    """A name."""
    spool: Annotated[Path | None, Flag(shown_default="in memory")] = None
    """Folder."""
    poll_seconds: float = 0.2
    """No option: for the file alone."""
    span: tuple[float, float] = (0.0, 1.0)
    numbers: dict[str, float] = Field(default_factory=dict)
    chosen: tuple[int, ...] = ()
    address: HostPort = "127.0.0.1:1"
    radio: Radio = Radio()
    tls: Tls | None = None
    credentials: ClientCredentials = ClientCredentials()


def run(*arguments: object, env: dict[str, str] | None = None) -> Service:
    """The settings that a command with these arguments is called with."""
    app, called = typer.Typer(), []

    @app.command()
    @with_settings(Service, config=True)
    def serve(given: Given[Service], loud: bool = False) -> None:
        called.append(given.checked())

    result = CliRunner().invoke(app, [str(word) for word in arguments], env=env)
    if result.exception is not None:
        raise result.exception
    return called[0]


def refused(*arguments: object) -> str:
    with pytest.raises(InputError) as error:
        run(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def config(folder: Path, text: str) -> Path:
    path = folder / "service.toml"
    path.write_text(text)
    return path


FULL = """
listen = "[::1]:2"
threads = 2
drop = "oldest"
stdin = true
hosts = ["a", "b"]
spool = "spool"
poll_seconds = 1
[radio]
power_mw = 20.5
kept = 2048
[tls]
cert = "/etc/cert.pem"
key = "key.pem"
[credentials]
tls_ca = "ca.pem"
"""


def test_without_anything_the_model_has_its_defaults() -> None:
    assert run() == Service()


def test_every_key_of_a_file_is_read_and_its_paths_are_its_folders(tmp_path: Path) -> None:
    assert run("--config", config(tmp_path, FULL)) == Service(
        listen="[::1]:2",
        threads=2,
        drop="oldest",
        stdin=True,
        hosts=("a", "b"),
        spool=tmp_path / "spool",
        poll_seconds=1.0,
        radio=Radio(power_mw=20.5, kept=2048),
        tls=Tls(cert=Path("/etc/cert.pem"), key=tmp_path / "key.pem"),
        credentials=ClientCredentials(tls_ca=tmp_path / "ca.pem"),
    )


def test_every_option_wins_over_the_file_also_with_its_default(tmp_path: Path) -> None:
    options = ["--listen", "127.0.0.1:1", "--threads", 1, "--drop", "never", "--host", "c"]
    options += ["--spool", "here", "--power", 100.0, "--kept-kib", 7, "--key", "k"]
    assert run("--config", config(tmp_path, FULL), *options) == Service(
        stdin=True,
        hosts=("c",),
        spool=Path("here"),
        poll_seconds=1.0,
        radio=Radio(kept=7 * 1024),
        tls=Tls(cert=Path("/etc/cert.pem"), key=Path("k")),
        credentials=ClientCredentials(tls_ca=tmp_path / "ca.pem"),
    )


def test_a_token_that_is_given_takes_the_place_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "file.token").write_text("of-the-file\n")
    (tmp_path / "other.token").write_text("of-the-option\n")
    path = config(tmp_path, '[credentials]\ntoken_file = "file.token"\n')
    environment = {"AIRREID_TOKEN": "of-the-environment"}
    assert run("--config", path).credentials.token == "of-the-file"
    assert run("--config", path, env=environment).credentials.token == "of-the-environment"
    file = tmp_path / "other.token"
    both = run("--config", path, "--token-file", file, env=environment)
    assert both.credentials.token == "of-the-option"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("thread = 3", ["no key thread;", "near it: threads;", "the file's keys are listen, "]),
        ("[radio]\npower = 3", ["no key radio.power;", "near it: radio.power_mw;"]),
        ("[radio]\nzzz = 3", ["no key radio.zzz; [radio] has power_mw, kept"]),
        ("kept-kib = 3", ["no key kept-kib;", "near it: radio.kept"]),
        ("radio = 3", ["radio: needs a table, [radio] (given: 3)"]),
        ("threads = 'two'", ["threads: needs a whole number (given: 'two')"]),
        ("threads = '2'", ["threads: needs a whole number"]),
        ("threads = true", ["threads: needs a whole number"]),
        ("threads = 1.5", ["threads: needs a whole number (given: 1.5)"]),
        ("threads = 1.0", ["threads: needs a whole number (given: 1.0)"]),
        ("threads = 1e3", ["threads: needs a whole number"]),
        ("threads = 1979-05-27", ["threads: needs a whole number"]),
        ("poll_seconds = true", ["poll_seconds: needs a number"]),
        ("span = ['0', 1]", ["span.0: needs a number (given: '0')"]),
        ("span = [0, true]", ["span.1: needs a number (given: True)"]),
        ("span = [0, 1, 2]", ["span"]),
        ("[numbers]\nm = '2'", ["numbers.m: needs a number (given: '2')"]),
        ("chosen = [1, 2.0]", ["chosen.1: needs a whole number (given: 2.0)"]),
        ("address = ':0'", ["address: write HOST:PORT, for example 127.0.0.1:50051 (given: ':0')"]),
        ("address = 'a:" + "9" * 5000 + "'", ["address: write HOST:PORT"]),
        ('spool = "d\\u0000x"', ["spool: has a NUL character"]),
        ("threads = " + "9" * 5000, ["a number of thousands of digits"]),
        ("threads = 0x" + "f" * 5000, ["threads: a number of more than 64 bits"]),
        ("tls = [0x" + "f" * 5000 + "]", ["tls.0: a number of more than 64 bits"]),
        ("hosts = " + "[" * 20_000 + "]" * 20_000, ["in each other; no setting is so deep"]),
        ("hosts = " + "[" * 40 + "]" * 40, ["has more than 32 levels"]),
        (".".join("a" * 20_000) + " = 1", ["more than 32 names joined by dots"]),
        (".".join(['"\\""'] * 10_000) + " = 1", ["more than 32 names joined by dots"]),
        (". ".join(["'" + "a" * 65 + "'"] * 900) + " = 1", ["has more than 32 levels"]),
        ('threads = "' + '\\"' * 30_000, ["not TOML: "]),
        ('"a\\nb" = 1', ["no key 'a\\nb'; "]),
        ("stdin = 1", ["stdin: needs true or false"]),
        ("stdin = 'no'", ["stdin: needs true or false"]),
        ("listen = 3", ["listen: ", "string", "(given: 3)"]),
        ("hosts = 'a'", ["hosts: "]),
        ("spool = 1", ["spool: "]),
        ("threads = 9", ["threads: ", "less than or equal to 8 (given: 9)"]),
        ("[radio]\npower_mw = 0", ["radio.power_mw: ", "greater than 0"]),
        ("[radio]\npower_mw = nan", ["radio.power_mw: ", "greater than 0"]),
        ("drop = 'newest'", ["drop: ", "'never' or 'oldest'"]),
        ("[tls]\ncert = 'c'", ["tls.key: is needed beside what is given"]),
        ("threads =", ["not TOML: "]),
        ("threads = 1\nthreads = 2", ["not TOML: "]),
        ("[credentials]\ntokens = 'a'", ["near it: credentials.token"]),
    ],
)
def test_one_error_names_the_file_and_the_key(tmp_path: Path, text: str, words: list[str]) -> None:
    path = config(tmp_path, text)
    message = refused("--config", path)
    assert message.startswith(f"{path}: ")
    for word in words:
        assert word in message


def test_a_wrong_option_is_named_and_not_the_file(tmp_path: Path) -> None:
    path = config(tmp_path, "[radio]\npower_mw = 20.0\n")
    message = refused("--config", path, "--power", -1)
    assert message == "--power: Input should be greater than 0 (given: -1.0)"
    assert refused("--cert", "c") == "--key: is needed beside what is given"


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"\xff\xfe", "not TOML"), (b"#" * (1 << 17), "larger than 64 KiB")],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "service.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_config(path, Service)
    with pytest.raises(InputError, match="cannot be read"):
        read_config(tmp_path, Service)


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    path = tmp_path / "service.toml"
    path.write_bytes(b"\xef\xbb\xbfthreads = 2\n")
    assert read_config(path, Service) == {"threads": 2}


def test_a_pipe_and_a_device_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "service.toml"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(InputError, match=f"{path}: .*not a regular file"):
            read_config(path, Service)


def test_bounds_help_and_default_of_an_option_are_the_models() -> None:
    app = typer.Typer()

    @app.command()
    @with_settings(Service)
    def serve(given: Given[Service]) -> None:
        """Serve."""

    command: Any = typer.main.get_command(app)
    options = {name: option for option in command.params for name in option.opts}
    assert (options["--threads"].min, options["--threads"].max) == (1, 8)
    assert (options["--kept-kib"].min, options["--kept-kib"].max) == (0, 1 << 20)
    assert options["--kept-kib"].default == 4
    assert options["--power"].help == "Transmit power in mW."
    assert options["--spool"].show_default == "in memory"
    assert "--poll-seconds" not in options
    assert "--config" not in options
    for words in (["--threads", "9"], ["--kept-kib", str((1 << 20) + 1)], ["--drop", "no"]):
        assert CliRunner().invoke(app, words).exit_code == 2


def test_a_change_has_no_defaults_and_leaves_values_to_the_model() -> None:
    app, called = typer.Typer(), []

    @app.command()
    @with_settings(Service, partial=Radio)
    def change(given: Given[Service]) -> None:
        called.append(given.flags)

    command: Any = typer.main.get_command(app)
    options = {name: option for option in command.params for name in option.opts}
    assert options["--power"].default is None
    assert options["--threads"].default == 1
    assert CliRunner().invoke(app, ["--power", "-5"]).exit_code == 0
    assert called == [{"radio": {"power_mw": -5.0}}]
