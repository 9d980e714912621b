"""Study A on made-up features: its cells, and that who is tested has no part in fitting."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from airreid.errors import InputError
from airreid.evaluation.study.cells import counts_of, read_cell
from training.engine.distributed import Distributed, device_of
from training.engine.progress import SilentReport
from training.recipes.base import Engine
from training.study.features import StudyFeatures, digest_of, open_features
from training.study.frozen_cells import cells_of
from training.study.measure import BlockCheck, ChannelCheckError
from training.study.run import CellSpec, StudyRun, chosen_cells
from training.study.settings import DigitalGrid, Family, InputForm, StudySettings, quick
from training.study.training import Inputs, StudyContext

DIMENSIONS = 24


def short(family: Family) -> Family:
    stages = [
        stage.model_copy(update={"iterations": 4}) if stage.iterations else stage
        for stage in family.stages
    ]
    return family.model_copy(update={"stages": tuple(stages)})


SETTINGS = quick(StudySettings()).model_copy(
    update={
        "bandwidths": (8, 32),
        "snrs_db": (-3.0, 10.0),
        "whole_bandwidths": (32,),
        "families": tuple(map(short, quick(StudySettings()).families)),
        "digital": DigitalGrid(dimensions=(6,), rate_lambdas=(30.0,), epochs=2),
        "quantised_bits": (8, 16),
        "long_bandwidths": (256,),
        "long_noise_seeds": 2,
    }
)


def people(count: int, first: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of people whom two cameras saw, two images each."""
    rng = np.random.default_rng(seed)
    identity = np.repeat(np.arange(first, first + count), 4)
    camera = np.tile([0, 0, 1, 1], count)
    centres = rng.normal(size=(count, DIMENSIONS))
    features = centres[identity - first] + 0.6 * rng.normal(size=(len(identity), DIMENSIONS))
    return np.abs(features).astype(np.float32), identity, camera


def stored_features(folder: Path, test_seed: int = 2) -> StudyFeatures:
    """Writes features of 150 people to train on and 30 to test on, as a study keeps them."""
    folder.mkdir(parents=True)
    features, identity, camera = people(150, 0, 1)
    training = {"features": features, "identity": identity, "camera": camera}
    features, identity, camera = people(30, 150, test_seed)
    test = {}
    for name, plural, rows in (
        ("query", "queries", camera == 0),
        ("gallery", "gallery", camera == 1),
    ):
        test[plural] = features[rows]
        test[f"{name}_identity"], test[f"{name}_camera"] = identity[rows], camera[rows]
    np.savez(folder / "training.npz", **training)
    np.savez(folder / "test.npz", **test)
    digests = {"training.npz": digest_of(training), "test.npz": digest_of(test)}
    (folder / "features.json").write_text(json.dumps({"digests": digests}))
    opened = open_features(folder)
    assert opened is not None
    return opened


def run_of(folder: Path, features: StudyFeatures) -> StudyRun:
    engine = Engine(device="cpu", tensorboard=False)
    return StudyRun(folder, folder / "work", features, engine, SilentReport())


def compute_all(run: StudyRun) -> None:
    for spec in cells_of(SETTINGS):
        run.compute(spec)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> StudyRun:
    folder = tmp_path_factory.mktemp("study")
    run = run_of(folder, stored_features(folder / "features"))
    compute_all(run)
    return run


def fitting(specs: list[CellSpec]) -> list[CellSpec]:
    return [spec for spec in specs if spec.fit is not None]


def test_fitting_never_opens_the_people_of_the_test(tmp_path: Path) -> None:
    features = stored_features(tmp_path / "features")
    (tmp_path / "features" / "test.npz").unlink()
    for spec in fitting(cells_of(SETTINGS)):
        context = StudyContext(
            Engine(device="cpu", tensorboard=False),
            tmp_path / spec.name,
            Distributed(device_of("cpu")),
            SilentReport(),
            tmp_path / "networks",
        )
        context.out.mkdir()
        assert spec.fit is not None
        measure = spec.fit(features.training(), context)  # all that needs no test is done here
        with pytest.raises(InputError, match=r"test\.npz"):
            measure(features.test())


def test_other_people_to_test_on_change_no_weight_and_no_choice(
    tmp_path: Path, finished: StudyRun
) -> None:
    other = run_of(tmp_path, stored_features(tmp_path / "features", test_seed=3))
    for spec in fitting(cells_of(SETTINGS)):
        if not spec.name.startswith(("closed", "digital")):
            continue
        ours, theirs = other.compute(spec), read_cell(finished.path(spec.name))
        assert ours.chosen == theirs.chosen
        assert [item.held_out_bits for item in ours.latents] == [
            item.held_out_bits for item in theirs.latents
        ]
        assert ours.curves != theirs.curves or ours.latents != theirs.latents


def test_every_curve_has_the_snr_and_power_that_it_claims(finished: StudyRun) -> None:
    curves = [
        curve
        for spec in cells_of(SETTINGS)
        for curve in read_cell(finished.path(spec.name)).curves
        if curve.scheme != "noiseless"
    ]
    assert {curve.scheme for curve in curves} >= {
        "ae-l1", "ae-paper", "ae-retrieval", "ae-linear", "fc-paper", "fc-retrieval", "nested",
        "pca", "discriminant", "digital-6-30", "raw-float16",
    }  # fmt: skip
    for curve in curves:
        tested = [point.snr_db for point in curve.points]
        assert tested == list(SETTINGS.snrs_db) or curve.scheme.startswith(("digital", "pq-"))
        for point in curve.points:
            assert point.power == pytest.approx(1, abs=1e-5)
            assert point.measured_snr_db == pytest.approx(point.snr_db, abs=1.0)  # few blocks
            hits = counts_of(point.hits[0])
            assert len(hits) == 60
            assert hits.max() <= SETTINGS.noise_seeds
            assert np.mean(point.top1[0]) == pytest.approx(
                hits.mean() / SETTINGS.noise_seeds, abs=1e-5
            )


def test_a_finished_cell_is_kept_and_another_data_set_computes_it_again(
    finished: StudyRun, tmp_path: Path
) -> None:
    assert finished.missing(cells_of(SETTINGS)) == []
    assert not any((finished.out / "work").iterdir())
    other = stored_features(tmp_path / "features", test_seed=3)
    elsewhere = StudyRun(finished.out, tmp_path, other, finished.engine, finished.report)
    assert len(elsewhere.missing(cells_of(SETTINGS))) == len(
        fitting(cells_of(SETTINGS)) + [s for s in cells_of(SETTINGS) if s.follow]
    )
    path = tmp_path / "cells" / "closed-8.json"
    path.parent.mkdir()
    path.write_text("{")
    spec = next(spec for spec in cells_of(SETTINGS) if spec.name == "closed-8")
    damaged = run_of(tmp_path, other)
    assert damaged.missing([spec]) == [spec]
    damaged.compute(spec)
    assert damaged.missing([spec]) == []


def test_a_cell_is_the_same_however_often_it_is_computed(
    finished: StudyRun, tmp_path: Path
) -> None:
    again = run_of(tmp_path, finished.features)
    for name in ("fc-retrieval-8", "nested", "digital-6-30"):
        spec = next(spec for spec in cells_of(SETTINGS) if spec.name == name)
        ours, theirs = again.compute(spec), read_cell(finished.path(name))
        assert (ours.curves, ours.latents, ours.key) == (theirs.curves, theirs.latents, theirs.key)


def test_shards_share_all_cells_and_balance_what_they_cost() -> None:
    specs = cells_of(StudySettings())
    shards = [chosen_cells(specs, [], (place, 4)) for place in range(4)]
    names = sorted(spec.name for shard in shards for spec in shard)
    assert names == sorted(spec.name for spec in specs)
    loads = [sum(spec.cost for spec in shard) for shard in shards]
    assert max(loads) < min(loads) + max(spec.cost for spec in specs)
    assert [spec.name for spec in chosen_cells(specs, ["ae-paper-64"], (0, 1))] == ["ae-paper-64"]
    with pytest.raises(InputError, match="closed-256"):
        chosen_cells(specs, ["nobody"], (0, 1))


def test_names_and_keys_of_cells_are_all_different(finished: StudyRun) -> None:
    specs = cells_of(StudySettings())
    assert len({spec.name for spec in specs}) == len(specs)
    keys = {finished.key(spec) for spec in specs if spec.follow is None}
    assert len(keys) == len([spec for spec in specs if spec.follow is None])


@pytest.mark.parametrize("form", ["unit", "raw", "standard"])
def test_inputs_have_the_form_that_they_are_called_by(form: InputForm) -> None:
    features, _, _ = people(60, 0, 3)
    features = np.float32(7.0) * features * np.linspace(0.2, 3, DIMENSIONS, dtype=np.float32)
    given = Inputs.fitted(features, form)(features)
    assert np.sqrt(np.mean(np.square(given))) == pytest.approx(1, rel=1e-3)
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    if form == "standard":
        assert given.std(axis=0) == pytest.approx(np.ones(DIMENSIONS), rel=1e-3)
    else:  # one factor for all: distances stay as they are
        before = features if form == "raw" else rows
        ratio = np.linalg.norm(given[1:] - given[:-1], axis=1)
        ratio /= np.linalg.norm(before[1:] - before[:-1], axis=1)
        assert ratio == pytest.approx(np.full(len(ratio), ratio.mean()), rel=1e-3)


def test_codes_are_trained_at_the_snrs_that_figures_and_claims_need(finished: StudyRun) -> None:
    trained = {
        spec.name: {
            curve.snr_db_train
            for curve in read_cell(finished.path(spec.name)).curves
            if curve.snr_db_train
        }
        for spec in cells_of(SETTINGS)
        if spec.name.startswith(("fc-paper", "ae-retrieval", "nested"))
    }
    everywhere = {(-3.0, -3.0), (10.0, 10.0), (-10.0, 10.0)}
    assert trained == {
        "fc-paper-32": everywhere,
        "ae-retrieval-32": everywhere,
        "fc-paper-8": {(10.0, 10.0)},
        "ae-retrieval-8": {(10.0, 10.0)},
        "nested": {(-10.0, 10.0)},
    }


def test_blocks_of_another_power_or_snr_are_refused() -> None:
    rng = np.random.default_rng(0)
    sent = rng.normal(size=(4000, 64)).astype(np.float32)
    sent /= np.sqrt(np.square(sent).mean(axis=1, keepdims=True))
    noise = rng.normal(size=sent.shape).astype(np.float32)
    right = BlockCheck(0.0)
    right.add(sent, sent + noise)
    assert right.measured()["measured_snr_db"] == pytest.approx(0, abs=0.05)
    quiet = BlockCheck(0.0)
    quiet.add(sent, sent + np.float32(0.98) * noise)
    with pytest.raises(ChannelCheckError, match="SNR"):
        quiet.measured()
    loud = BlockCheck(0.0)
    sent[7] *= np.float32(1.0001)
    loud.add(sent, sent + noise)
    with pytest.raises(ChannelCheckError, match="power"):
        loud.measured()


def test_features_that_were_changed_are_refused(tmp_path: Path) -> None:
    features = stored_features(tmp_path / "features")
    path = tmp_path / "features" / "training.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["features"] = arrays["features"] + 1
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="not the features"):
        features.training()
