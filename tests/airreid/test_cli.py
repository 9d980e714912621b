"""The root of the command line."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from airreid import cli
from airreid.addresses import parse_address
from airreid.errors import AirReidError, InputError


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
