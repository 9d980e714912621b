"""Anchors of a study: product quantisation, whole features, and images of the lowest rate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from airreid.adopt.images import open_images
from airreid.adopt.pipeline import Adoption, adopt
from airreid.adopt.preprocessing import named
from airreid.bundle import load_bundle
from airreid.cli import build
from airreid.codecs.linear import unit_rows
from airreid.errors import InputError
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.evaluation.study.cells import counts_of, read_cell
from airreid.evaluation.study.plan import read_plan
from airreid.evaluation.study.results import read_results
from airreid.evaluation.study.table import table_of
from airreid.retrieval import Labels, NearestMatch, cosine
from training.study.anchor_cells import Quantiser, raw_curve
from training.study.compressed import LOWEST, compressed, open_compressed
from training.study.given_cells import within_share
from training.study.settings import StudySettings

from ..airreid.adopt import networks
from ..airreid.adopt.people import dress

SIZE = (96, 64)


def features(rows: int, dimensions: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)


def test_more_bits_quantise_better_and_lengths_of_any_kind_do() -> None:
    fitted, others = features(600, 24), features(50, 24, seed=1)
    errors = []
    for bits in (8, 40):  # 24 dimensions are no multiple of 5 parts
        quantiser = Quantiser(fitted, bits, seed=0)
        codes = quantiser.encode(others)
        assert codes.shape == (50, bits // 8)
        decoded = quantiser.decode(codes)
        assert decoded.shape == others.shape
        errors.append(np.square(decoded - unit_rows(others)).sum(axis=1).mean())
        again = Quantiser(fitted, bits, seed=0)
        assert again.digest == quantiser.digest
        assert np.array_equal(again.encode(others), codes)
    assert errors[1] < 0.8 * errors[0]
    with pytest.raises(InputError, match="needs 256"):
        Quantiser(fitted[:255], 8, seed=0)


def search(dimensions: int) -> RetrievalFeatures:
    people = np.arange(40)
    gallery = features(40, dimensions)
    queries = gallery + 0.7 * features(40, dimensions, seed=1)
    labels = [Labels(people, np.full(40, camera)) for camera in (1, 0)]
    return RetrievalFeatures(gallery, labels[0], queries, labels[1])


def test_a_whole_feature_arrives_or_is_lost_with_the_snr() -> None:
    settings = StudySettings(snrs_db=(-10.0, 20.0), long_noise_seeds=2)
    test = search(24)
    (curve,), facts = raw_curve(test, 256, settings)
    low, high = curve.points
    assert facts["payload_bits"] == 16 * 24
    assert facts["outage"] == {"-10": 1.0, "20": 0.0}
    assert np.all(counts_of(low.hits[0]) == 0)
    nearest = NearestMatch(test.query_labels, test.gallery_labels)
    whole = nearest.hits(cosine(test.queries, test.gallery))
    assert abs(facts["top1_without_channel"] - whole.mean()) <= 1 / 40
    assert high.top1[0][0] == pytest.approx(facts["top1_without_channel"], abs=1e-5)


@pytest.mark.parametrize(("dimensions", "uses"), [(24, 64), (513, 8192)])
def test_a_feature_that_does_not_fit_has_no_curve(dimensions: int, uses: int) -> None:
    curves, facts = raw_curve(search(dimensions), uses, StudySettings(snrs_db=(20.0,)))
    assert curves == []
    assert f"{16 * dimensions} bits do not fit {uses} uses" in facts["why"]


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_the_lowest_rate_is_below_others(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 32, 3), np.uint8)
    smallest = len(compressed(noise, kind, LOWEST[kind]))
    assert smallest < len(compressed(noise, kind, LOWEST[kind] | {"quality": 10}))


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build(("study", *arguments)), ["study", *arguments])


def test_a_study_goes_from_images_to_cells_and_on(tmp_path: Path) -> None:
    data = dress(tmp_path / "people", SIZE, 60, 3)
    network = networks.write(tmp_path / "net.onnx", size=SIZE)
    out = tmp_path / "study"
    wanted = ("--out", str(out), "--quick", "--only", "noiseless", "--only", "image-*")
    images = ("--data", str(data), "--network", str(network), "--preset", "half")
    result = invoke("run", "frozen", *wanted, *images)
    assert result.exit_code == 0, result.output
    stored = open_compressed(out / "features")
    assert stored is not None
    assert {"jpeg", "webp"} <= set(stored.formats)
    bound = read_cell(out / "cells" / "noiseless.json").curves[0].points[0]
    for kind in stored.formats:
        (latents,) = read_cell(out / "cells" / f"image-{kind}.json").latents
        assert len(latents.bits) == len(latents.hits) == len(bound.hits[0])
        assert all(bits > 0 and bits % 8 == 0 for bits in latents.bits)
        assert np.array_equal(np.sort(latents.bits), np.sort(stored.of(kind)[1]))
    listed = invoke("run", "frozen", *wanted, "--list")  # the features are there: no images needed
    assert (listed.exit_code, listed.output) == (0, "")
    other = dress(tmp_path / "others", SIZE, 60, 3, seed=6)
    (out / "features" / "compressed.json").unlink()
    refused = invoke("run", "frozen", *wanted, "--data", str(other), "--network", str(network))
    assert refused.exit_code != 0
    assert "other images or another network" in str(refused.exception or refused.output)


def test_of_several_processes_one_makes_the_features(tmp_path: Path) -> None:
    data = dress(tmp_path / "people", SIZE, 60, 3)
    network = networks.write(tmp_path / "net.onnx", size=SIZE)
    features = tmp_path / "features"
    command = [sys.executable, "-m", "airreid.cli", "study", "run", "frozen", "--quick"]
    command += ["--data", str(data), "--network", str(network), "--preset", "half"]
    command += ["--only", "noiseless", "--features", str(features), "--out"]
    started = [
        subprocess.Popen(
            [*command, str(tmp_path / name)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for name in ("first", "second")
    ]
    outputs = [process.communicate()[0].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    counts = [output.count("training people") for output in outputs]
    assert sorted(counts)[0] == 0, outputs  # one found them there
    assert sorted(counts)[1] > 0, outputs
    cells = [
        read_cell(tmp_path / name / "cells" / "noiseless.json") for name in ("first", "second")
    ]
    assert cells[0].key == cells[1].key
    assert cells[0].curves == cells[1].curves


def test_what_cannot_be_run_is_said(tmp_path: Path) -> None:
    out = ("--out", str(tmp_path))
    assert invoke("run", "both", *out).exit_code == 2
    listed = invoke("run", "frozen", *out, "--quick", "--list", "--only", "closed-*")
    assert listed.output.split() == ["closed-256", "closed-64"]
    for wrong, words in (
        (("--preset", "mine"), "--preset mine: there are imagenet"),
        (("--shard", "3/2"), "--shard 3/2"),
        ((), "give --data DIR and --network FILE"),
    ):
        result = invoke("run", "frozen", *out, *wrong)
        assert result.exit_code != 0
        assert words in str(result.exception or result.output)


def test_a_bundle_is_measured_with_the_codes_that_came_with_it(tmp_path: Path) -> None:
    data = dress(tmp_path / "people", SIZE, 60, 3)
    network = networks.write(tmp_path / "net.onnx", size=SIZE)
    bundle = tmp_path / "bundle"
    adopt(
        Adoption(
            network=network,
            images=open_images(str(data)),
            out=bundle,
            schemes=("jscc-fc-8", "jscc-ae-8", "digital-64"),
            preprocessing=named("half"),
            cache=tmp_path / "cache",
            int8=False,
        ),
        lambda name, steps: lambda: None,
    )
    out = tmp_path / "study"
    cells = [f"--only={name}" for name in ("noiseless", "scatter", "given")]
    wanted = ("--out", str(out), "--quick", *cells)
    result = invoke("run", "frozen", *wanted, "--data", str(data), "--network", str(bundle))
    assert result.exit_code == 0, result.output
    assert {"given", "scatter", "closed-256"} <= set(read_plan(out).cells)
    cell = read_cell(out / "cells" / "given.json")
    assert cell.settings["bundle"] == load_bundle(bundle).bundle_id
    curves = {curve.scheme: curve for curve in cell.curves}
    assert curves.keys() == {"given-jscc-fc", "given-jscc-ae", "given-digital"}
    assert [curve.bandwidth for curve in curves.values()] == [8, 8, 64]
    (latents,) = cell.latents
    link = cell.facts["given-digital-64"]
    assert (
        link["payload_bits"] >= link["message_bits"] == pytest.approx(np.mean(latents.bits), 1e-3)
    )
    table = table_of(read_results(out))
    for scheme in ("given-digital", "given-digital-ideal"):
        low, high = (table.get(scheme, "", 64, snr_db) for snr_db in (-10.0, 20.0))
        assert low is not None
        assert high is not None
        assert low.top1.value == 0
        assert high.top1.value == pytest.approx(np.mean(counts_of(latents.hits)))
        assert high.bits is not None
        assert high.bits <= link["payload_bits"]
    for curve in curves.values():
        assert np.mean(curve.points[-1].top1) > np.mean(curve.points[0].top1)
        assert all(point.power == pytest.approx(1, abs=1e-5) for point in curve.points)
    joint = invoke("run", "joint", "--out", str(tmp_path / "b"), "--network", str(bundle))
    assert "a folder" in str(joint.exception or joint.output)


def test_variance_within_people_is_estimated_without_bias() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(50):
        centres = rng.normal(size=(100, 64))
        identity = np.repeat(np.arange(100), 2)  # two images each: a biased estimate has half
        features = centres[identity] + 0.5 * rng.normal(size=(200, 64))
        shares.append(within_share(features.astype(np.float32), identity))
    assert np.mean(shares) == pytest.approx(0.25 / 1.25, abs=0.01)
    apart = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    assert within_share(apart, np.repeat(np.arange(3), 4)) == 0
