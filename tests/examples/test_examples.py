"""The example programs run from any folder and show what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = {
    "encode_and_search",
    "jscc_against_digital",
    "own_channel_model",
    "own_codec",
    "rest_client",
    "train_through_channel",
}


def output(name: str, folder: Path) -> str:
    """Runs an example in another folder; returns what it prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(pattern: str, text: str) -> list[float]:
    return [float(value) for value in re.findall(pattern, text)]


def test_every_example_is_run_here_and_short() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == NAMES
    for path in EXAMPLES.glob("*.py"):
        lines = [line for line in path.read_text().splitlines() if line.strip()]
        assert len(lines) <= 45, path


def test_encode_and_search(tmp_path: Path) -> None:
    text = output("encode_and_search", tmp_path)
    assert text.count(" dB: person-") == 60
    assert numbers(r"rank-1 ([0-9.]+)", text)[0] >= 0.9
    code = (EXAMPLES / "encode_and_search.py").read_text().split("for subject")[0]
    assert len([line for line in code.splitlines()[1:] if line.strip()]) <= 10


def test_jscc_against_digital(tmp_path: Path) -> None:
    text = output("jscc_against_digital", tmp_path)
    jscc = numbers(r"jscc-ae-256 .*rank-1 ([0-9.]+)", text)
    digital = numbers(r"digital-256 .*rank-1 ([0-9.]+)", text)
    assert len(jscc) == len(digital) == 7
    assert jscc[0] > 0.8
    assert digital[0] == 0.0
    assert digital[-1] > 0.9
    assert (tmp_path / "jscc_against_digital.png").read_bytes().startswith(b"\x89PNG")


def test_own_channel_model(tmp_path: Path) -> None:
    """The milder the fading, the more is found."""
    rates = numbers(r"rank-1 ([0-9.]+)", output("own_channel_model", tmp_path))
    assert len(rates) == 4
    assert rates == sorted(rates)
    assert rates[-1] - rates[0] > 0.1


def test_own_codec(tmp_path: Path) -> None:
    own_rate, demo_rate = numbers(r"rank-1 ([0-9.]+)", output("own_codec", tmp_path))
    assert own_rate > 0.5
    assert demo_rate > 0.9


def test_rest_client(tmp_path: Path) -> None:
    text = output("rest_client", tmp_path)
    assert "person-0000 resembles person-0000" in text
    assert "deleted: {'entries': 2}" in text
    assert "left: ['person-0001', 'person-0002', 'person-0003', 'person-0004']" in text


def test_train_through_channel(tmp_path: Path) -> None:
    losses = numbers(r"loss ([0-9.]+)", output("train_through_channel", tmp_path))
    assert losses[0] > 1.0
    assert losses[-1] < 0.5
