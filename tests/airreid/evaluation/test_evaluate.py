"""Schemes on a data set: what is measured is what crosses the wire."""

from __future__ import annotations

import collections
import csv
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from airreid.bundle import Bundle
from airreid.datasets import DataSet, open_data
from airreid.errors import AirReidError, InputError
from airreid.evaluation.evaluate import Settings, evaluate
from airreid.evaluation.features import extract_test, features_of
from airreid.evaluation.points import Point, scheme_points
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.images import load, to_crop
from airreid.inference import BackboneRunner
from airreid.noise import NoiseStream
from airreid.offline import replay
from airreid.payload import Link
from airreid.retrieval import evaluate_ranking
from airreid.scheme_kinds import open_scheme
from airreid.signal import capacity

from . import oracle
from .invoking import invoke


def silent(name: str, steps: int):  # type: ignore[no-untyped-def]
    return lambda: None


@pytest.fixture(scope="module")
def data(dressed: Path) -> DataSet:
    return open_data(dressed)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "airreid"


@pytest.fixture(scope="module")
def test_set(tiny: Bundle, data: DataSet, cache: Path) -> RetrievalFeatures:
    return extract_test(tiny, tiny.backbone, data, cache, 0, silent).test


@pytest.fixture(scope="module")
def points(tiny: Bundle, data: DataSet, cache: Path) -> list[Point]:
    return evaluate(tiny, data, Settings(snrs_db=(-5.0, 5.0, 30.0), cache=cache, seeds=3), silent)


def test_features_are_those_that_an_edge_makes(
    tiny: Bundle, dressed: Path, test_set: RetrievalFeatures
) -> None:
    runner = BackboneRunner(tiny, tiny.backbone, threads=1)
    crops = [to_crop(load(path)) for path in sorted(dressed.rglob("*.png"))]
    one_by_one = np.concatenate([runner.features(crop[None]) for crop in crops])
    np.testing.assert_allclose(test_set.queries, one_by_one, atol=1e-5)


@pytest.mark.parametrize(
    ("scheme_id", "link"),
    [("jscc-ae-16", "analog"), ("digital-64", "coded"), ("digital-64", "ideal")],
)
def test_agrees_with_the_replay_of_the_wire(
    tiny: Bundle, test_set: RetrievalFeatures, scheme_id: str, link: Link
) -> None:
    scheme = open_scheme(tiny, tiny.scheme(scheme_id), 1)
    [point] = scheme_points("b", scheme, link, test_set, [-4.0], [7])
    stream = NoiseStream(7, "offline")
    again = replay(scheme, link, test_set.gallery, test_set.queries, -4.0, stream, 0)
    expected = evaluate_ranking(again.order, test_set.query_labels, test_set.gallery_labels)
    assert (point.top1, point.map) == pytest.approx((expected.top1, expected.mean_ap), abs=1e-5)
    assert point.outage == pytest.approx((again.order[:, 0] < 0).mean(), abs=1e-5)


def test_the_bound_is_that_of_the_definition(
    points: list[Point], test_set: RetrievalFeatures
) -> None:
    [bound] = [p for p in points if p.kind == "noiseless"]
    labels = test_set.query_labels
    items = list(zip(labels.identity.tolist(), labels.camera.tolist(), strict=True))
    scores = oracle.cosines(test_set.queries.tolist(), test_set.gallery.tolist())
    expected = oracle.measures(scores, items, items)
    measured = (bound.queries, bound.top1, bound.top5, bound.map, bound.minp)
    keys = ("queries", "top1", "top5", "map", "minp")
    assert measured == pytest.approx([expected[key] for key in keys], abs=1e-5)
    assert 0.3 < bound.top1 < 1


def test_every_scheme_link_and_snr_is_there(points: list[Point]) -> None:
    snrs_of = {(p.scheme, p.link): [] for p in points}  # type: ignore[var-annotated]
    for p in points:
        snrs_of[p.scheme, p.link].append(p.snr_db)
    measured = {key: snrs for key, snrs in snrs_of.items() if key[1] not in ("none", "paper")}
    assert set(measured) == {
        ("pca-16", "analog"),
        ("pca-32", "analog"),
        ("jscc-ae-16", "analog"),
        ("jscc-fc-16", "analog"),
        ("jscc-fc-32", "analog"),
        ("digital-64", "coded"),
        ("digital-64", "ideal"),
    }
    assert all(snrs == [-5.0, 5.0, 30.0] for snrs in measured.values())


def test_intervals_and_seeds(points: list[Point]) -> None:
    for point in points:
        drawn = point.link in ("analog", "coded")
        assert point.seeds == (3 if drawn else 1)
        assert (point.top1_half_width is not None) == drawn
        assert 0 <= point.map <= 1


def test_bits_outage_and_the_papers_account(
    tiny: Bundle, test_set: RetrievalFeatures, points: list[Point]
) -> None:
    scheme = open_scheme(tiny, tiny.scheme("digital-64"), 1)
    sent = [len(scheme.pack(row[None], "ideal")[0].bits) for row in test_set.queries]
    by_link = {(p.link, p.snr_db): p for p in points if p.scheme == "digital-64"}
    ideal = by_link["ideal", -5.0]
    assert ideal.payload_bits == pytest.approx(np.mean(sent), abs=0.01)
    lost = np.mean([bits > 64 * float(capacity(-5.0)) for bits in sent])
    assert ideal.outage == pytest.approx(lost, abs=1e-5)
    [paper] = [p for p in by_link.values() if p.link == "paper"]
    assert paper.snr_db is not None
    assert 64 * float(capacity(paper.snr_db)) == pytest.approx(np.mean(sent), rel=1e-3)
    assert (paper.top1, paper.outage) == (by_link["ideal", 30.0].top1, 0.0)
    assert (paper.dimensions, paper.rate_lambda) == (8, 40.0)


def test_pca_without_noise_is_a_projection(
    points: list[Point], test_set: RetrievalFeatures
) -> None:
    """At 30 dB the line is what principal components find, computed by an SVD."""
    x = test_set.queries.astype(np.float64)  # the train subset is the same images
    _, _, components = np.linalg.svd(x - x.mean(0), full_matrices=False)
    projected = (x - x.mean(0)) @ components[:16].T
    accuracy = test_set.search(projected, projected)
    [line] = [p for p in points if p.scheme == "pca-16" and p.snr_db == 30.0]
    assert line.top1 == pytest.approx(accuracy.top1, abs=0.02)


def test_features_are_kept_and_named_by_what_they_are_of(
    tiny: Bundle, data: DataSet, cache: Path, points: list[Point]
) -> None:
    files = sorted(cache.iterdir())
    assert files
    assert all(path.suffix == ".npy" and "part" not in path.name for path in files)
    stamps = [path.stat().st_mtime_ns for path in files]
    settings = Settings(snrs_db=(5.0,), cache=cache, seeds=2, schemes=("jscc-fc-16",))
    again = evaluate(tiny, data, settings, silent)
    assert sorted(cache.iterdir()) == files
    assert [path.stat().st_mtime_ns for path in files] == stamps
    assert [p.kind for p in again] == ["noiseless", "pca", "jscc-fc"]


def test_an_unreadable_image_is_named_and_nothing_is_kept(
    tiny: Bundle, dressed: Path, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "people"
    shutil.copytree(dressed, folder)
    bad = folder / "p03" / "c1" / "0.png"
    bad.write_bytes(bad.read_bytes()[:60])
    settings = Settings(snrs_db=(0.0,), cache=tmp_path / "cache")
    with pytest.raises(InputError, match=str(bad)):
        evaluate(tiny, open_data(folder), settings, silent)
    assert not (tmp_path / "cache").exists()


def test_nobody_to_find(tiny: Bundle, dressed: Path, tmp_path: Path) -> None:
    import shutil

    for person in ("p00", "p01"):
        shutil.copytree(dressed / person / "c0", tmp_path / "one" / person / "c0")
    settings = Settings(snrs_db=(0.0,), cache=tmp_path / "cache")
    with pytest.raises(InputError, match="no query has its identity by another camera"):
        evaluate(tiny, open_data(tmp_path / "one"), settings, silent)


def test_the_commands(tiny: Bundle, dressed: Path, cache: Path, tmp_path: Path) -> None:
    common = ["--bundle", str(tiny.path), "--data", str(dressed), "--cache", str(cache)]
    common += ["--snr", "0", "--snr", "-5", "--seeds", "2"]
    files = [tmp_path / "e.json", tmp_path / "e.csv"]
    arguments = ["evaluate", *common, "--json", str(files[0]), "--csv", str(files[1])]
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert "protocol all" in result.output
    assert "jscc-ae-16" in result.output
    assert "±        over noise: half of the interval (95 %, Student's t over the noise seeds)" in (
        result.output
    )
    content = json.loads(files[0].read_text())
    assert content["data_digest"] == open_data(dressed).digest()
    assert content["bundles"][0]["id"] == tiny.bundle_id
    with files[1].open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(content["points"])
    assert {row["protocol"] for row in rows} == {"all"}
    for figure in ("4a", "4b", "4c"):
        out = tmp_path / figure
        arguments = ["--figure", figure, *common, "--bandwidth", "16", "--out", str(out)]
        result = invoke("sweep", *arguments)
        assert result.exit_code == 0, result.output
        assert (out / f"figure-{figure}.png").read_bytes()[:4] == b"\x89PNG"
        drawn = json.loads((out / f"figure-{figure}.json").read_text())
        assert drawn["figure"] == figure
        labels = [curve["label"] for curve in drawn["curves"]]
        if figure != "4c":
            assert any("trained at -9 to 9 dB" in label for label in labels)
            assert any("-9 to 9 dB" in note for note in drawn["notes"])
        else:
            fc = next(c for c in drawn["curves"] if c["label"] == "JSCC FC, +0 dB")
            assert fc["x"] == [16, 32]
        for text in files + list(out.glob("*.json")) + list(out.glob("*.csv")):
            assert str(tmp_path) not in text.read_text()
            assert str(dressed.parent) not in text.read_text()


def test_a_figure_is_drawn_from_what_another_has_measured(
    tiny: Bundle, dressed: Path, cache: Path, tmp_path: Path
) -> None:
    common = ["--bundle", str(tiny.path), "--data", str(dressed), "--cache", str(cache)]
    common += ["--snr", "0", "--snr", "-5", "--seeds", "2", "--bandwidth", "16"]

    def run(*arguments: str) -> dict[str, object]:
        result = invoke("sweep", *arguments, "--out", str(tmp_path))
        assert result.exit_code == 0, result.output
        content: dict[str, object] = json.loads(
            (tmp_path / f"figure-{arguments[1]}.json").read_text()
        )
        return content

    run("--figure", "4c", *common)
    measured = tmp_path / "figure-4c.json"
    for figure in ("4a", "4b"):
        direct = run("--figure", figure, *common)
        drawn = run("--figure", figure, "--points", str(measured), "--bandwidth", "16")
        for key in ("curves", "title", "notes", "points", "bundles", "data_digest"):
            assert drawn[key] == direct[key], key
    single = run("--figure", "4b", "--points", str(measured), "--scheme", "jscc-ae-16")
    assert {p["scheme"] for p in single["points"]} > {"jscc-ae-16"}  # type: ignore[attr-defined]
    assert {p["kind"] for p in single["points"]} == {"noiseless", "pca", "jscc-ae"}  # type: ignore[attr-defined]

    few = run("--figure", "4b", "--points", str(measured), "--bandwidth", "16", "--snr", "-5")
    assert {p["snr_db"] for p in few["points"] if p["link"] != "paper"} == {None, -5.0}  # type: ignore[attr-defined]

    twin = measured.read_text().replace(tiny.bundle_id, "f" * 16)
    (tmp_path / "twin.json").write_text(twin)
    both = run(
        *("--figure", "4b", "--points", str(measured), "--points", str(tmp_path / "twin.json")),
        *("--bandwidth", "16"),
    )
    alone = run("--figure", "4b", "--points", str(measured), "--bandwidth", "16")
    counts = [
        collections.Counter(p["kind"] for p in drawn["points"])  # type: ignore[attr-defined]
        for drawn in (both, alone)
    ]
    assert counts[0]["jscc-ae"] == 2 * counts[1]["jscc-ae"]
    assert [c["pca"] for c in counts] == [2, 2]
    assert [c["noiseless"] for c in counts] == [1, 1]

    other = json.loads(measured.read_text()) | {"protocol": "another"}
    (tmp_path / "other.json").write_text(json.dumps(other))
    (tmp_path / "text.json").write_text("{}")
    for arguments, message in (
        (["--points", str(measured), "--points", str(tmp_path / "other.json")], "protocol another"),
        (["--points", str(tmp_path / "text.json")], "not written by"),
        (["--points", str(tmp_path / "none.json")], "cannot be read"),
        (["--points", str(measured), "--scheme", "jscc-ae-9"], "jscc-ae-9: not in"),
        (["--points", str(measured), "--snr", "3"], "measured are -5, 0"),
        (["--points", str(measured), "--bandwidth", "5"], "there are points of 16, 32, 64"),
        (["--points", str(measured), "--data", "synthetic"], "needs no --bundle"),
        (["--bundle", str(tiny.path)], "give --bundle and --data"),
    ):
        whole = ["sweep", "--figure", "4b", *arguments, "--out", str(tmp_path)]
        result = invoke(*whole)
        assert isinstance(result.exception, AirReidError), result.output
        assert message in str(result.exception)


def test_mistakes_at_the_command(tiny: Bundle, dressed: Path, tmp_path: Path) -> None:
    common = ["--bundle", str(tiny.path), "--data", str(dressed)]
    for arguments, message in (
        (["evaluate", *common, "--snr", "900"], "--snr 900"),
        (["evaluate", *common, "--scheme", "jscc-ae-99"], "no scheme 'jscc-ae-99'"),
        (["evaluate", *common, "--json", str(tmp_path / "no" / "e.json")], "no such folder"),
        (
            ["sweep", "--figure", "4b", *common, "--bandwidth", "5", "--out", str(tmp_path)],
            "there are schemes of 16, 32, 64",
        ),
    ):
        result = invoke(*arguments, "--cache", str(tmp_path / "cache"))
        assert isinstance(result.exception, AirReidError), result.output
        assert message in str(result.exception)


@pytest.mark.parametrize("left", [0, 100, -7])
def test_a_damaged_file_of_the_cache_is_computed_again(
    tiny: Bundle, data: DataSet, tmp_path: Path, left: int
) -> None:
    ticks: list[int] = []

    def features() -> np.ndarray:
        return features_of(tiny, tiny.backbone, data["query"], tmp_path, partial(ticks.append, 1))

    expected = features()
    (path,) = tmp_path.glob("features-*.npy")
    path.write_bytes(path.read_bytes()[:left])
    np.testing.assert_array_equal(features(), expected)
    np.testing.assert_array_equal(np.load(path), expected)
    features()
    assert len(ticks) == 3 * len(data["query"]), "a bar that stands still looks like an end"
