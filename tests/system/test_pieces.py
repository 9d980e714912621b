"""Blocks in pieces over real processes: the answers of the same pieces computed offline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import edge.cli
from airreid.bundle import Bundle
from airreid.cli import build
from airreid.client import GalleryClient, ok
from airreid.crop_folder import read_folder
from airreid.errors import InputError
from airreid.scheme_info import NestedInfo
from airreid.v1 import gallery_pb2

from ..airreid.adopt.people import dress
from ..nested_bundle import SCHEME, SIZE, nested_bundle
from .conftest import access_point, channel, target

PEOPLE = 20


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return nested_bundle(tmp_path_factory.mktemp("nested"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Gallery and queries: the same people by two cameras."""
    root = dress(tmp_path_factory.mktemp("dressed"), SIZE, PEOPLE, 1)
    gallery, queries = root / "gallery", root / "queries"
    for crop in read_folder(root):
        side = gallery if crop.camera == "door" else queries
        place = side / crop.identity / crop.camera
        place.mkdir(parents=True)
        shutil.move(crop.path, place / crop.path.name)
    return gallery, queries


def simulate(bundle: Bundle, folders: tuple[Path, Path], out: Path, *options: str) -> dict:  # type: ignore[type-arg]
    arguments = [
        *("simulate", "--bundle", str(bundle.path), "--no-pictures", "--report", str(out)),
        *("--gallery", str(folders[0]), "--queries", str(folders[1])),
        *("--json", str(out / "out.json"), *options),
    ]
    result = CliRunner().invoke(build(arguments), arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return {"output": result.output, **json.loads((out / "out.json").read_text())}


def test_simulation_and_replay_agree_piece_by_piece(
    bundle: Bundle, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    snrs = ("--snr", "10", "--snr", "-10")
    report = simulate(
        *(bundle, folders, tmp_path, "--scheme", SCHEME, "--bandwidth", "auto"),
        *("--most-uses", "512", *snrs),
    )
    good, bad = report["results"]
    for row in (good, bad):
        assert row["replay_identical"] == row["queries"] == PEOPLE
        assert row["bandwidth"] == 128
    assert 32 <= good["uses_mean"] < 128
    assert good["uses_mean"] <= good["uses_p95"] <= 128
    assert bad["uses_mean"] > 128
    assert bad["uses_p95"] <= 512
    assert bad["downlink_bits"] > good["downlink_bits"]
    assert "in place of 128" in report["output"]


def test_digital_blocks_in_pieces_agree_with_their_replay(tmp_path: Path) -> None:
    """The demo's bundle: where the channel is bad, pieces come again up to the limit."""
    arguments = [
        *("simulate", "--identities", "6", "--scheme", "digital-256-r1", "--link", "coded"),
        *("--bandwidth", "auto", "--most-uses", "512", "--snr", "10", "--snr", "-5"),
        *("--no-pictures", "--report", str(tmp_path), "--json", str(tmp_path / "out.json")),
    ]
    result = CliRunner().invoke(build(arguments), arguments)
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "out.json").read_text())["results"]
    assert [row["way"] for row in rows] == ["whole", "whole", "pieces", "pieces"]
    assert [row["crc_bits"] for row in rows] == [11, 11, 16, 16]
    whole, _, good, bad = rows
    for row in rows:
        assert row["replay_identical"] == row["queries"]
        assert row["bandwidth"] == 256
    assert (whole["uses_mean"], whole["downlink_bits"]) == (256, 0)
    assert good["outage_rate"] == 0
    assert 32 < good["uses_mean"] < 128
    assert good["downlink_bits"] >= 16
    assert bad["uses_p95"] > 256
    assert rows[1]["outage_rate"] > bad["outage_rate"]
    assert "digital-256-r1 pieces at +10 dB" in result.output
    arguments[arguments.index("coded")] = "ideal"
    for bandwidth, lacks in (("auto", "pieces"), ("report", "rates to choose from")):
        arguments[arguments.index("--bandwidth") + 1] = bandwidth
        refused = CliRunner().invoke(build(arguments), arguments).exception
        assert isinstance(refused, InputError)
        assert f"the ideal link has no {lacks}; give --link coded" in str(refused)


@pytest.mark.parametrize("bandwidth", ["0", "-1", "33", "10000", "\u00b2", "auto3", ""])
def test_a_bandwidth_that_cannot_be_simulated_is_refused(bandwidth: str) -> None:
    arguments = ["simulate", "--scheme", "jscc-nested-256", "--bandwidth", bandwidth]
    refused = CliRunner().invoke(build(arguments), arguments).exception
    assert isinstance(refused, InputError)
    assert str(refused).startswith(f"--bandwidth {bandwidth}: ")


def test_a_cut_of_the_code_is_sent_at_once(
    bundle: Bundle, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    report = simulate(bundle, folders, tmp_path, "--bandwidth", "64", "--snr", "0")
    [row] = report["results"]
    assert (row["bandwidth"], row["uses_mean"], row["downlink_bits"]) == (64, 64.0, 0.0)
    assert row["replay_identical"] == row["queries"]
    with pytest.raises(InputError, match="give a multiple of 32 up to 128"):
        simulate(bundle, folders, tmp_path, "--bandwidth", "40", "--snr", "0")
    with pytest.raises(InputError, match="give auto, report or a number"):
        simulate(bundle, folders, tmp_path, "--bandwidth", "some")


def test_reports_on_the_link_say_how_much_is_sent_at_once(
    bundle: Bundle, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    report = simulate(
        *(bundle, folders, tmp_path, "--scheme", SCHEME, "--window", "1"),
        *("--bandwidth", "report", "--bandwidth", "auto", "--snr", "15", "--snr", "-15"),
    )
    at_once, in_noise, pieces, _ = report["results"]
    assert (at_once["way"], pieces["way"]) == ("report", "pieces")
    assert report["settings"]["bandwidth"] == ["report", "auto"]
    for row in (at_once, in_noise, pieces):
        assert row["replay_identical"] == row["queries"] == PEOPLE
    info = bundle.scheme(SCHEME)
    assert isinstance(info, NestedInfo)
    assert info.stopping is not None
    uses = info.stopping.fixed(15.0)
    assert uses < info.stopping.fixed(-15.0) == 128
    assert in_noise["uses_mean"] == 128  # nothing is left of the SNR before
    whole = (at_once["uses_mean"] - uses) * PEOPLE / (128 - uses)  # blocks before the first report
    assert whole == pytest.approx(round(whole), abs=0.01)
    assert 1 <= whole < PEOPLE
    assert at_once["downlink_bits"] == 24
    assert at_once["side_bits"] == 2  # which of four numbers of pieces
    with pytest.raises(InputError, match="give auto, report or a number"):
        simulate(bundle, folders, tmp_path, "--bandwidth", "auto", "--bandwidth", "0x40")


def test_a_camera_sends_until_enough_was_heard(
    bundle: Bundle, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    with access_point(tmp_path, "--bundle", str(bundle.path)) as ap:
        with GalleryClient(target(ap)) as client:
            items = (
                gallery_pb2.EnrollItem(
                    subject=crop.identity, camera=crop.camera, image=crop.path.read_bytes()
                )
                for crop in read_folder(folders[0])
            )
            assert all(ok(result.status) for _, result in client.enrol(items))
        with channel(target(ap), "--snr", "6", "--seed", "2") as link:
            for bandwidth in ("auto", "report"):
                result = CliRunner().invoke(
                    edge.cli.app,
                    [
                        *("send", str(folders[1]), "--to", target(link), "--json"),
                        *("--bundle", str(bundle.path), "--bandwidth", bandwidth),
                        *("--symbol-rate", "10000"),
                    ],
                )
                assert result.exit_code == 0, result.output
                answers = json.loads(result.stdout)
                assert len(answers) == PEOPLE
                assert all(answer["identities"] for answer in answers)
                uses = [answer["uses"] for answer in answers]
                assert min(uses) < 128
                assert all(use % 32 == 0 and 32 <= use <= 128 for use in uses)
                assert answers[0]["air_ms"] == pytest.approx(uses[0] / 10)
