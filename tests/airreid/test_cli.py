"""The root of the command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accesspoint.errors import NotReadyError
from airreid import cli
from airreid.addresses import parse_address
from airreid.errors import (
    AirReidError,
    BundleError,
    InputError,
    LinkError,
    RefusedError,
    UnfinishedError,
)


def test_help_lists_every_role_without_loading_any() -> None:
    code = (
        "import sys; sys.argv = ['airreid', '--help']\n"
        "from airreid import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print(*sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    for name in ("simulate", "edge", "channel", "ap", "gallery", "bundle", "train"):
        assert name in result.stdout
    loaded = {name.split(".")[0] for name in result.stdout.splitlines()[-1].split()}
    assert "typer" in loaded
    slow = {"numpy", "grpc", "google", "onnxruntime", "pydantic", "PIL", "rich", "asyncio"}
    assert not loaded & slow


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 2, "Usage: airreid"),
        (["--version"], 0, "airreid "),
        (["bundle", "--help"], 0, "verify"),
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["--nonsense"], 2, "No such option: --nonsense"),
        (["bundle", "nonsense"], 2, "No such command 'nonsense'"),
    ],
)
def test_help_and_mistakes(arguments: list[str], code: int, text: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "airreid.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code
    assert text in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    for name in [m for m in sys.modules if m.startswith("accesspoint")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(AirReidError, match=r"needs faiss: .* '\.\[accesspoint\]'"):
        cli.build(["ap", "serve"])


def test_a_system_without_file_locks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows: no extra that one could install would help."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    for name in [m for m in sys.modules if m.startswith("edge")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(AirReidError, match=r"runs on Linux and macOS: this system has no fcntl$"):
        cli.build(["edge", "send"])


@pytest.mark.parametrize(
    "text", ["", "here", ":80", "host:", "host:x", "host:70000", "host:-1", "host:²"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InputError, match="write HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "host", "port"), [("127.0.0.1:0", "127.0.0.1", 0), ("[::1]:5", "::1", 5)]
)
def test_addresses(text: str, host: str, port: int) -> None:
    address = parse_address(text)
    assert (address.host, address.port) == (host, port)
    assert str(address) == text


def test_training_says_what_is_wrong_with_the_data_before_it_wants_torch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("torch", "torchvision", "onnx2torch"):
        monkeypatch.setitem(sys.modules, name, None)
    train = ("train", "run", "demo", "--out", str(tmp_path / "run"))
    for arguments, kind, text in (
        ((*train, "--data", str(tmp_path / "none")), InputError, "none: no such folder or file"),
        ((*train, "--data", "synthetic"), AirReidError, r"needs onnx2torch: .* '\.\[training\]'"),
    ):
        result = CliRunner().invoke(cli.build(arguments), arguments)
        assert isinstance(result.exception, kind)
        with pytest.raises(kind, match=text):
            raise result.exception


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("wrong"), 2),
        (BundleError("damaged"), 2),
        (LinkError("gone"), 3),
        (RefusedError("no"), 2),
        (UnfinishedError("failed"), 1),
        (NotReadyError("loading"), 3),
        (OSError(28, "No space left on device", "file"), 4),
        (ZeroDivisionError("a fault"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes_say_what_kind_of_end_it_was(error: BaseException, code: int) -> None:
    """Run apart: an interrupt ends the process. The table is in docs/command-line.md."""
    program = (
        "import builtins, sys; sys.argv = ['airreid', 'bundle', 'show']\n"
        "from airreid import bundle_cli, cli\n"
        "import airreid.errors, accesspoint.errors\n"
        "def fail(*args, **options): raise eval(sys.stdin.read())\n"
        "bundle_cli.load_bundle = fail\n"
        "cli.main()"
    )
    module = (
        ""
        if isinstance(error, OSError | ZeroDivisionError | KeyboardInterrupt)
        else (f"{type(error).__module__}.")
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        input=f"{module}{error!r}"
        if not isinstance(error, OSError)
        else "OSError(28, 'full', 'f')",
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code, result.stderr
    assert ("Traceback" in result.stderr) == (code == 70)
    table = (Path(__file__).parents[2] / "docs/command-line.md").read_text()
    assert f"| {code} |" in table


def test_words_are_put_where_the_commands_take_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for words, first in (
        (["-q", "health", "x"], ["-q", "health", "x"]),
        (["health", "x", "--quiet"], ["-q", "health", "x"]),
        (["health", "--", "-q"], ["health", "--", "-q"]),
        (["health", "-q", "--", "-q"], ["-q", "health", "--", "-q"]),
        (["health"], ["health"]),
        (["simulate", "--json"], ["simulate", "--json", "-"]),
        (["simulate", "--json", "--snr", "3"], ["simulate", "--json", "-", "--snr", "3"]),
        (["simulate", "--json", "out.json"], ["simulate", "--json", "out.json"]),
        (["simulate", "--json", "-"], ["simulate", "--json", "-"]),
        (["evaluate", "-q", "--json"], ["-q", "evaluate", "--json", "-"]),
        (["channel", "show", "--at", "h:1"], ["channel", "show", "--to", "h:1"]),
        (["edge", "status", "--at=h:1"], ["edge", "status", "--to=h:1"]),
        (["gallery", "calibrate", "--schemes", "a,b"], ["gallery", "calibrate", "--scheme", "a,b"]),
        (["edge", "send", "--", "--at"], ["edge", "send", "--", "--at"]),
        (["bench", "codec", "--json"], ["bench", "codec", "--json", "-"]),
        (["bench", "codec", "--json", "f.json"], ["bench", "codec", "--json", "f.json"]),
        (["edge", "send", "--json"], ["edge", "send", "--json"]),
    ):
        monkeypatch.setattr(sys, "argv", ["airreid", *words])
        assert cli._arguments() == first


@pytest.mark.parametrize(
    ("line", "completion"),
    [
        ("airreid ed", "edge"),
        ("airreid edge se", "serve"),
        ("airreid edge send --im", "--image-out"),
    ],
)
def test_a_shell_completes_commands_and_options(line: str, completion: str) -> None:
    words = line.split(" ")
    result = subprocess.run(
        [sys.executable, "-c", "from airreid.cli import main; main()"],
        env={
            **os.environ,
            "_AIRREID_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert completion in result.stdout.split()
