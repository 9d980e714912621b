"""Codes fitted at one site and tested at another, from ``adopt --also`` and ``--fit-on``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from airreid.cli import build
from airreid.errors import InputError

from . import networks
from .people import dress

SIZE = (96, 64)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dress(tmp_path_factory.mktemp("site"), SIZE, 50, 2)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other people, by cameras of another light."""
    cameras = (("gate", 0.9), ("hall", 1.05))
    return dress(tmp_path_factory.mktemp("other"), SIZE, 20, 2, cameras, seed=9)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build(arguments), list(arguments))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, site: Path, other: Path) -> Path:
    """A folder with a bundle ``mine``, its report, the output and the cache."""
    folder = tmp_path_factory.mktemp("work")
    network = networks.write(folder / "n.onnx", size=SIZE)
    result = invoke(
        *("adopt", str(network), "--images", str(site), "--out", str(folder / "mine")),
        *("--cache", str(folder / "cache"), "--preset", "half", "--seeds", "2", "--no-int8"),
        *("--scheme", "jscc-fc-8", "--also", str(other)),
    )
    assert result.exit_code == 0, (result.output, result.exception)
    (folder / "output").write_text(result.output)
    return folder


def test_adopting_measures_other_sites_too(work: Path, other: Path) -> None:
    output = (work / "output").read_text()
    assert "at another site, nothing fitted there:" in output
    rows = json.loads((work / "mine-report" / "elsewhere-1.json").read_text())
    assert other.name in rows["data"]
    assert rows["identities"] == 20
    assert rows["fitted_on"]["identities"] == 50
    assert rows["pca"].startswith("fitted on 200 images of ")
    top1 = {(row["scheme"], row["snr_db"]): row["top1"] for row in rows["points"]}
    assert {"pca-8", "jscc-fc-8"} <= {name for name, _ in top1}
    assert top1["n", None] > 0.3, "the network itself finds people of the other site"
    assert (work / "mine-report" / "elsewhere-1.png").exists()


def evaluated(work: Path, fit_on: Path, data: Path, *options: str) -> Result:
    return invoke(
        *("evaluate", "--bundle", str(work / "mine"), "--fit-on", str(fit_on)),
        *("--data", str(data), "--cache", str(work / "cache"), "--seeds", "2", "--snr", "5"),
        *("--json", str(work / "out.json"), *options),
    )


def test_codes_fitted_on_one_set_are_tested_on_another(work: Path, site: Path, other: Path) -> None:
    result = evaluated(work, site, other)
    assert result.exit_code == 0, (result.output, result.exception)
    assert "jscc-fc-fitted-8       fitted: " in result.output
    assert "chosen on 10 people held out" in result.output
    rows = json.loads((work / "out.json").read_text())
    top1 = {row["scheme"]: row["top1"] for row in rows["points"]}
    assert set(top1) == {"n", "pca-8", "jscc-fc-8", "jscc-fc-fitted-8"}
    # The bundle's own code was fitted on the same images by the same rule.
    assert top1["jscc-fc-fitted-8"] == top1["jscc-fc-8"]
    again = json.loads((work / "mine-report" / "elsewhere-1.json").read_text())
    at_5_db = {row["scheme"]: row["top1"] for row in again["points"] if row["snr_db"] == 5.0}
    assert top1["pca-8"] == at_5_db["pca-8"]


def test_a_code_of_another_site_differs_from_the_bundles(
    work: Path, site: Path, other: Path
) -> None:
    result = evaluated(work, other, site, "--protocol", "holdout")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "too few people seen by two cameras to choose on" in result.output
    rows = json.loads((work / "out.json").read_text())
    assert rows["fitted_on"]["identities"] == 20
    assert rows["protocol"] == "holdout"


def test_people_of_the_test_are_not_fitted_on(work: Path, site: Path) -> None:
    result = evaluated(work, site, site)
    assert isinstance(result.exception, InputError)
    assert "images of the test are fitted on as well" in str(result.exception)
    result = evaluated(work, site, site, "--protocol", "holdout")
    assert result.exit_code == 0, (result.output, result.exception)
    rows = json.loads((work / "out.json").read_text())
    assert rows["fitted_on"]["identities"] == 40


def test_the_site_that_is_fitted_on_is_no_other_site(
    work: Path, site: Path, tmp_path: Path
) -> None:
    result = invoke(
        *("adopt", str(work / "n.onnx"), "--images", str(site), "--out", str(tmp_path / "x")),
        *("--preset", "half", "--also", str(site)),
    )
    assert isinstance(result.exception, InputError)
    assert "of its images are fitted on" in str(result.exception)
    assert not (tmp_path / "x").exists()


def test_a_site_where_nobody_can_be_found_is_refused_before_the_work(
    work: Path, site: Path, tmp_path: Path
) -> None:
    one_camera = dress(tmp_path / "one", SIZE, 5, 2, (("door", 1.0),))
    result = invoke(
        *("adopt", str(work / "n.onnx"), "--images", str(site), "--out", str(tmp_path / "x")),
        *("--preset", "half", "--also", str(one_camera)),
    )
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith("--also ")
    assert not (tmp_path / "x").exists()
