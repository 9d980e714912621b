"""Top-1 against channel uses: what the points say of fixed and adaptive blocks and the oracle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from airreid.bundle import Bundle
from airreid.cli import build
from airreid.errors import InputError
from airreid.evaluation.points import scheme_points
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.evaluation.uses import ADAPTIVE, FIXED, ORACLE, UsesPoint, nested_points
from airreid.evaluation.uses_drawing import uses_lines
from airreid.nested.calibration import LOSSES
from airreid.nested.scheme import NestedScheme
from airreid.scheme_kinds import open_scheme

from ...nested_bundle import SCHEME, SIZE, nested_bundle, seen_people
from ..adopt.people import dress

SNR_DB, SEEDS = 0.0, 3


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return nested_bundle(tmp_path_factory.mktemp("nested"))


@pytest.fixture(scope="module")
def data() -> RetrievalFeatures:
    features, labels = seen_people(60, seed=9)
    query, stored = labels.camera == 0, labels.camera == 1
    return RetrievalFeatures(
        features[stored], labels.take(stored), features[query], labels.take(query)
    )


@pytest.fixture(scope="module")
def points(bundle: Bundle, data: RetrievalFeatures) -> list[UsesPoint]:
    scheme = open_scheme(bundle, bundle.scheme(SCHEME), 1)
    assert isinstance(scheme, NestedScheme)
    return nested_points(scheme, data, SNR_DB, SEEDS)


def of_way(points: list[UsesPoint], way: str) -> list[UsesPoint]:
    return [point for point in points if point.way == way]


def test_fixed_points_are_those_of_an_evaluation(
    bundle: Bundle, data: RetrievalFeatures, points: list[UsesPoint]
) -> None:
    scheme = open_scheme(bundle, bundle.scheme(SCHEME), 1)
    expected = scheme_points("b", scheme, "analog", data, [SNR_DB], range(SEEDS))
    by_uses = {point.uses_mean: point for point in of_way(points, FIXED)}
    assert sorted(by_uses) == [32, 64, 96, 128]
    for point in expected:
        ours = by_uses[point.bandwidth]
        assert (ours.top1, ours.top1_half_width) == (point.top1, point.top1_half_width)


def test_the_rule_lies_between_everything_and_the_oracle(points: list[UsesPoint]) -> None:
    whole = of_way(points, FIXED)[-1]
    adaptive = of_way(points, ADAPTIVE)
    assert [point.accepted_loss for point in adaptive] == list(LOSSES)
    uses = [point.uses_mean for point in adaptive]
    assert uses == sorted(uses, reverse=True)
    [oracle] = of_way(points, ORACLE)
    assert oracle.uses_mean <= uses[0] <= 128
    assert oracle.top1 == whole.top1
    assert adaptive[0].top1 > whole.top1 - 0.05
    [line] = uses_lines(points)
    assert f"an oracle needs {oracle.uses_mean:.0f}" in line


def run(*arguments: str) -> None:
    result = CliRunner().invoke(build(arguments), list(arguments))
    if result.exception is not None:
        raise result.exception


def test_the_figure_is_measured_and_drawn(bundle: Bundle, tmp_path: Path) -> None:
    people = dress(tmp_path / "people", SIZE, 24, 1)
    chosen = ("--bundle", str(bundle.path), "--data", str(people), "--snr", "0", "--seeds", "2")
    out = ("--out", str(tmp_path / "report"), "--cache", str(tmp_path / "cache"))
    run("sweep", "--figure", "uses", *chosen, *out)
    document = json.loads((tmp_path / "report" / "figure-uses.json").read_text())
    assert {point["way"] for point in document["points"]} == {FIXED, ADAPTIVE, ORACLE}
    assert document["accepted_loss_default"] == 0.005
    assert (tmp_path / "report" / "figure-uses.png").read_bytes()[:4] == b"\x89PNG"


def test_a_bundle_without_pieces_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    demo = Path(__file__).parents[3] / "models" / "demo"
    out = ("--out", str(tmp_path), "--data", "synthetic")
    chosen = ("sweep", "--figure", "uses", "--scheme", "jscc-fc-256")
    with pytest.raises(InputError, match=r"no nested scheme in .* jscc-nested-256"):
        run(*chosen, "--bundle", str(demo), *out)
    with pytest.raises(InputError, match="leave out --bandwidth"):
        run(*chosen, "--bundle", str(demo), *out, "--bandwidth", "64")
    with pytest.raises(InputError, match="give one --bundle and --data"):
        run("sweep", "--figure", "uses", "--bundle", str(demo), "--out", str(tmp_path))
