"""``airreid bench link``: its figures, its files, and what it refuses."""

import json
import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from airreid.digital.link import CodedLink
from airreid.digital.polar_design import design_code
from benchmarks.link import cliff, measure, wilson

KEYS = {
    *("snr_db", "blocks", "bler", "bler_low", "bler_high", "undetected", "encode_ms"),
    *("decode_ms", "shannon_db", "normal_approx_db", "gap_db"),
}


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airreid.cli", "bench", "link", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_figures_table_and_plot(tmp_path: Path) -> None:
    copy = tmp_path / "copy.json"
    result = bench(
        *("--bits", 20, "--uses", 64, "--blocks", 120, "--crc", 24, "--list", 4),
        *("--snr", 9, "--snr=-2", "--out", tmp_path / "out", "--json", copy),
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    [head] = [i for i, line in enumerate(lines) if line.lstrip().startswith("SNR dB")]
    assert [line.split()[0] for line in lines[head + 1 : head + 3]] == ["-2", "+9"]
    assert len({len(line) for line in lines[head : head + 3]}) == 1
    figures = json.loads((tmp_path / "out" / "link.json").read_text())
    assert figures == json.loads(copy.read_text())
    assert (tmp_path / "out" / "link.png").read_bytes().startswith(b"\x89PNG")
    about = figures["settings"]
    expected = {"k": 20, "B": 64, "modulation": "bpsk", "crc": 24, "list_size": 4, "blocks": 120}
    assert {name: about[name] for name in expected} == expected
    assert about["rate"] == 20 / 64
    assert (about["mother_length"], about["matching"]) == (64, "none")
    assert {"airreid", "numpy", "python"} <= set(about["versions"])
    worse, better = figures["points"]
    for row in (worse, better):
        assert set(row) == KEYS
        assert row["blocks"] == 120
        assert row["bler_low"] <= row["bler"] <= row["bler_high"]
        assert row["shannon_db"] == pytest.approx(10 * math.log10(2 ** (40 / 64) - 1))
        assert row["encode_ms"] > 0
        assert row["decode_ms"] > 0
    assert worse["gap_db"] == pytest.approx(worse["snr_db"] - worse["normal_approx_db"])
    assert better["bler"] == 0
    assert better["normal_approx_db"] is None
    assert better["gap_db"] is None


def test_without_snrs_it_goes_down_the_cliff(tmp_path: Path) -> None:
    result = bench("--bits", 10, "--uses", 32, "--blocks", 60, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    rows = json.loads((tmp_path / "link.json").read_text())["points"]
    assert rows[0]["bler"] > 0.2
    assert rows[-1]["bler"] < 1e-3
    assert all(row["bler"] >= 1e-3 for row in rows[:-1])
    steps = {b["snr_db"] - a["snr_db"] for a, b in pairwise(rows)}
    assert steps == {0.5}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--bits", 300, "--uses", 256, "--modulation", "bpsk"), "at most 245 do"),
        (("--bits", 2000, "--uses", 256), "at most 1013 do"),
        (("--bits", 20, "--uses", 64, "--crc", 16), "--crc 16: use 11 or 24"),
        (("--bits", 20, "--uses", 64, "--list", 3), "--list 3: use one of 1, 2, 4, 8, 16"),
        (("--bits", 20, "--uses", 64, "--snr", 200), "--snr 200: use -60 to 100 dB"),
        (("--bits", 20, "--uses", 64, "--snr", "nan"), "--snr nan: use -60 to 100 dB"),
    ],
)
def test_what_is_refused(arguments: tuple, message: str, tmp_path: Path) -> None:
    result = bench(*arguments, "--out", tmp_path / "out")
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_nothing_but_whole_blocks_can_be_drawn(tmp_path: Path) -> None:
    result = bench("--bits", 5, "--uses", 64, "--blocks", 3, "--snr", 30, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "link.json").read_text())["points"][0]["bler"] == 0


def test_undetected_errors_are_those_that_pass() -> None:
    """So many blocks of noise that the CRC of 11 bits must miss some, and of 24 none."""
    undetected = []
    for crc_bits, most in ((11, 40), (24, 0)):
        link = CodedLink(design_code(20, 64, crc_bits, 1))
        done: list[int] = []
        row = measure(link, -12.0, 2500, 1, done.append)
        assert sum(done) == row.blocks == 2500
        assert row.bler > 0.99
        assert row.undetected <= most
        undetected.append(row.undetected)
    assert undetected[0] > 0


def test_the_same_seed_gives_the_same_errors() -> None:
    link = CodedLink(design_code(20, 64, 11, 1))
    first, again, other = (measure(link, -1.0, 300, seed, abs).bler for seed in (1, 1, 2))
    assert first == again != other


def test_wilson_by_hand() -> None:
    # Wilson's interval of 10 in 100, as tables have it
    low, high = wilson(10, 100)
    assert (low, high) == pytest.approx((0.05523, 0.17437), abs=1e-5)
    assert wilson(0, 100) == (0.0, pytest.approx(0.03699, abs=1e-5))
    assert wilson(100, 100) == (pytest.approx(1 - 0.03699, abs=1e-5), 1.0)


def test_the_cliff_is_on_a_grid() -> None:
    snrs = list(cliff(design_code(128, 256, 11, 1)))
    assert snrs[0] == 0.0
    assert snrs[1] - snrs[0] == 0.5
