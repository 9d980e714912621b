"""Recipe site end to end on drawn people and a made network: trained, stopped, refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import Result
from onnx import numpy_helper
from PIL import Image
from typer.testing import CliRunner

from airreid.bundle import load_bundle
from airreid.cli import build
from airreid.datasets import open_data
from airreid.errors import InputError
from airreid.inference import BackboneRunner
from airreid.scheme_info import JsccInfo
from training.engine.progress import Progress, SilentReport
from training.recipes.load import load_recipe, with_options
from training.recipes.recipe import Recipe
from training.runs.folder import claim
from training.site.run import SiteRun, train_site

from ..airreid.adopt import networks
from ..airreid.adopt.people import dress

SCRIPT = Path(__file__).with_name("site_script.py")
SIZE = (96, 64)
PEOPLE, SHOTS = 66, 2
FEW = 15
"""People whose crops are decoded without other processes."""
SETTINGS = [
    *("network.preset=half", 'network.schemes=["jscc-fc-8","jscc-ae-4","digital-32"]'),
    *("heads.iterations=6", "joint.epochs=2", "joint.share=0.5"),
    *("engine.tensorboard=false", "engine.precision=fp32", "engine.device=cpu"),
    *("engine.checkpoint_steps=1", "ship=fp32"),  # int8 ships where it is faster, as the load is
]

SMALL = ["--set", 'network.schemes=["jscc-fc-8"]']
"""A scheme that the network's few dimensions carry."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Steps are so small that threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dress(tmp_path_factory.mktemp("site") / "crops", SIZE, PEOPLE, SHOTS)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "made.onnx"
    return networks.write(path, size=SIZE, convolution="float32")


def recipe(joint: bool = True) -> Recipe:
    return with_options(load_recipe("site", SETTINGS), joint, None, None)


class Report(SilentReport):
    """Counts the steps of every network."""

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}

    def network(self, name: str, progress: Progress) -> None:
        self.steps[name] = self.steps.get(name, 0) + 1


def weights(path: Path) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


@pytest.fixture(scope="module")
def trained(
    folder: Path, network: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Report]:
    out, report = tmp_path_factory.mktemp("run") / "out", Report()
    train_site(SiteRun(recipe(), network, str(folder), out), report)
    return out, report


def bare_figures(card: str) -> list[str]:
    """Figures of a model card that have no interval."""
    return re.findall(r"(?<!± )\b[01]\.\d{3}\b(?! ±)", card.partition("## Accuracy")[2])


def test_network_and_codes_are_trained_into_a_bundle(trained: tuple[Path, Report]) -> None:
    out, report = trained
    assert set(report.steps) == {"heads", "joint"}
    bundle, public = load_bundle(out / "bundle"), load_bundle(out / "public")
    assert bundle.scheme_ids == ["jscc-fc-8", "jscc-ae-4", "digital-32"]
    assert bundle.backbone.space_id != public.backbone.space_id
    site = bundle.manifest.provenance.site
    assert site is not None
    assert (site.people, site.held_out_people, site.tested_people) == (53, 10, 13)
    assert (site.joint, site.epochs, site.share) == (True, 2, 0.5)
    assert site.after.keys() == site.before.keys() == site.people_half_width.keys()
    card = (out / "bundle" / "README.md").read_text()
    assert "Top-1 on 13 people" in card
    assert f"{site.after['no channel']:.3f} ± {site.people_half_width['no channel']:.3f}" in card
    assert bare_figures(card) == []
    assert site.guessing == pytest.approx(2 / 50)  # of 52 images two are the query's own view
    assert f"Guessing finds {site.guessing:.1%}" in card
    stored = json.loads((out / "report" / "home.json").read_text())
    assert stored["identities"] == 13


def test_the_bundle_has_half_of_the_trained_weights(trained: tuple[Path, Report]) -> None:
    out, _ = trained
    name = next(f"network/{n}" for n in ("kernel",))
    public = weights(out / "public" / "backbone.onnx")[name]
    shipped = weights(out / "site" / "backbone.onnx")[name]
    state = torch.load(out / "joint.best.pt", weights_only=True)["parts"]
    learned = next(
        value.numpy()
        for key, value in state.items()
        if key.startswith("network.") and value.shape == public.shape
    )
    assert np.abs(learned - public).max() > 1e-4
    np.testing.assert_allclose(shipped, (public + learned) / 2, atol=1e-6)
    bundle = load_bundle(out / "bundle")
    runner = BackboneRunner(bundle, bundle.backbone, threads=1)
    assert np.isfinite(runner.features(networks.crops(2, SIZE))).all()


def test_a_finished_run_is_not_done_again(
    trained: tuple[Path, Report], folder: Path, network: Path
) -> None:
    out, _ = trained
    report = Report()
    again = train_site(SiteRun(recipe(), network, str(folder), out), report)
    assert report.steps == {}
    assert again.bundle.bundle_id == load_bundle(out / "bundle").bundle_id
    assert any("share of the trained weights 0.5" in line for line in again.lines)


def test_another_share_of_a_finished_run_is_mixed_without_training_again(
    trained: tuple[Path, Report], folder: Path, network: Path, tmp_path: Path
) -> None:
    """All of the trained weights, then half again: that is the bundle of the run itself."""
    whole, _ = trained
    out = tmp_path / "out"
    shutil.copytree(whole, out, ignore=shutil.ignore_patterns("cache"))
    first = load_bundle(whole / "bundle").bundle_id
    run = SiteRun(recipe(), network, str(folder), out, whole / "cache")
    report = Report()
    everything = with_options(recipe(), True, None, "1")
    result = train_site(replace(run, recipe=everything), report)
    assert report.steps == {}
    assert any("share of the trained weights 1" in line for line in result.lines)
    state = torch.load(out / "joint.best.pt", weights_only=True)["parts"]
    shipped = weights(out / "site" / "backbone.onnx")["network/kernel"]
    assert any(np.array_equal(value.numpy(), shipped) for value in state.values())
    assert load_bundle(out / "bundle").bundle_id != first
    again = train_site(run, report)
    assert report.steps == {}
    assert again.bundle.bundle_id == first
    other = with_options(load_recipe("site", [*SETTINGS, "seed=1"]), True, None, None)
    with pytest.raises(InputError, match="holds a run with other settings"):
        train_site(replace(run, recipe=other), report)


def test_a_run_that_is_killed_goes_on_to_the_same_bundle(
    trained: tuple[Path, Report], folder: Path, network: Path, tmp_path: Path
) -> None:
    """SIGKILL within the second epoch, after a checkpoint; the run goes on in this process.

    The whole run is another one of the same seed, so the two bundles also show that nothing else
    than seed, settings, images and network enters.
    """
    whole, report = trained
    out, cache = tmp_path / "out", whole / "cache"
    command = [sys.executable, str(SCRIPT), str(network), str(folder), str(out), str(cache)]
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    killed = subprocess.run(
        [*command, *SETTINGS], capture_output=True, text=True, env=environment, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (out / "joint.last.pt").exists()
    assert not (out / "bundle").exists()
    second = Report()
    result = train_site(SiteRun(recipe(), network, str(folder), out, cache), second)
    assert 0 < second.steps["joint"] < report.steps["joint"]
    assert "heads" not in second.steps
    ours, theirs = (weights(path / "site" / "backbone.onnx") for path in (out, whole))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name])
    assert result.bundle.bundle_id == load_bundle(whole / "bundle").bundle_id


@pytest.mark.parametrize(
    ("channel", "snr", "bounds"),
    [
        ("rayleigh", ["snr_db=5"], (5, 5)),
        pytest.param(
            "impulsive", ["snr_db.low=-5", "snr_db.high=15"], (-5, 15), marks=pytest.mark.slow
        ),
    ],
)
def test_a_site_is_learned_through_any_channel(
    channel: str,
    snr: list[str],
    bounds: tuple[float, float],
    folder: Path,
    network: Path,
    trained: tuple[Path, Report],
    tmp_path: Path,
) -> None:
    """One SNR or a range; the same seed through Gaussian noise ends in other weights.

    Codes are chosen and figures measured through the same channel, and both say so.
    """
    settings = [f"{step}.{part}" for step in ("heads", "joint") for part in snr]
    settings += [f"{step}.channel={channel}" for step in ("heads", "joint")]
    chosen = with_options(load_recipe("site", [*SETTINGS, *settings]), True, None, None)
    report = Report()
    run = SiteRun(chosen, network, str(folder), tmp_path, cache=trained[0] / "cache")
    result = train_site(run, report)
    assert report.steps == trained[1].steps
    stored = json.loads(result.bundle.manifest.provenance.model_dump_json())["recipe"]["steps"]
    assert [step.get("channel") for step in stored] == [None, channel, channel]
    kernel = "network/kernel"
    ours, gaussian = (
        weights(path / "site" / "backbone.onnx")[kernel] for path in (tmp_path, trained[0])
    )
    assert np.isfinite(ours).all()
    assert np.abs(ours - gaussian).max() > 1e-6
    site = result.bundle.manifest.provenance.site
    assert site is not None
    assert site.channel == channel
    assert site.protocol is not None
    assert f"channel {channel}" in site.protocol
    schemes = result.bundle.manifest.schemes
    assert [s.snr_db_train for s in schemes if isinstance(s, JsccInfo)] == [bounds, bounds]
    chosen_through = f"through {channel} at {bounds[0]:+g}"
    assert any("codes chosen on" in line and chosen_through in line for line in result.lines)
    about = json.loads((tmp_path / "report" / "home.json").read_text())
    assert about["channel"] == channel


@pytest.mark.slow
def test_codes_alone_leave_the_network_as_it_was(
    folder: Path, network: Path, trained: tuple[Path, Report], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = SiteRun(recipe(joint=False), network, str(folder), out, cache=trained[0] / "cache")
    result = train_site(run, Report())
    assert result.bundle.backbone.space_id == load_bundle(out / "public").backbone.space_id
    assert any("codes chosen on 10 of these people" in line for line in result.lines)
    site = result.bundle.manifest.provenance.site
    assert site is not None
    assert not site.joint


def test_tracks_alone_teach_the_network(folder: Path, network: Path, tmp_path: Path) -> None:
    """The same people as tracks of each camera; the labelled folder is the test elsewhere."""
    tracks = tmp_path / "tracks"
    for path in sorted(folder.glob("*/*"))[: 2 * FEW]:
        shutil.copytree(path, tracks / path.name / path.parent.name)
    out = tmp_path / "out"
    run = SiteRun(recipe(), network, str(tracks), out, elsewhere=(open_data(folder, "holdout"),))
    report = Report()
    result = train_site(run, report)
    assert set(report.steps) == {"joint"}
    assert f"{2 * FEW} tracks, each of one camera" in result.lines[0]
    assert any("the training was not watched" in line for line in result.lines)
    site = result.bundle.manifest.provenance.site
    assert site is not None
    assert (site.tested_people, site.held_out_people) == (0, 0)
    (rates,) = site.elsewhere.values()
    assert rates["after no channel"] > 0
    assert list(site.elsewhere_people.values()) == [13]
    card = (out / "bundle" / "README.md").read_text()
    assert "13 people, where nothing was trained" in card
    assert bare_figures(card) == []
    assert (out / "report" / "elsewhere-1.json").exists()
    assert not (out / "report" / "home.json").exists()


def test_identities_and_tracks_are_trained_on_together(
    folder: Path, network: Path, tmp_path: Path
) -> None:
    """People by two cameras, and others of whom each camera has its own track."""
    people, tracks = tmp_path / "people", tmp_path / "tracks"
    everybody = sorted(folder.iterdir())
    for path in everybody[:FEW]:
        shutil.copytree(path, people / path.name)
    for path in everybody[FEW : 2 * FEW]:
        for camera in path.iterdir():
            shutil.copytree(camera, tracks / camera.name / path.name)
    out, report = tmp_path / "out", Report()
    run = SiteRun(recipe(), network, str(people), out, tracks=tracks)
    result = train_site(run, report)
    assert set(report.steps) == {"joint"}
    assert "48 images of 12 people, and 60 of 30 tracks of one camera each" in result.lines[0]
    site = result.bundle.manifest.provenance.site
    assert site is not None
    assert (site.people, site.tracks, site.tested_people, site.joint) == (12, 30, 3, True)
    learned = torch.load(out / "joint.last.pt", weights_only=True)
    assert learned["architecture"]["identities"] == 12 + 30
    with pytest.raises(InputError, match="holds a run with other images"):
        train_site(replace(run, tracks=None), Report())
    alone = replace(run, source=str(tracks), tracks=tracks, out=tmp_path / "alone")
    with pytest.raises(InputError, match="has tracks already"):
        train_site(alone, Report())


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build(arguments), list(arguments))


def test_what_cannot_be_trained_is_frozen_and_named(folder: Path, tmp_path: Path) -> None:
    """A network without weights, by the command line; few people, so that codes are PCA.

    An image that is cut off is left out and named.
    """
    few = tmp_path / "few"
    for name in sorted(path.name for path in folder.iterdir())[:FEW]:
        shutil.copytree(folder / name, few / name)
    truncate(few / "p003" / "yard" / "1.png")
    bare = networks.write(tmp_path / "bare.onnx", size=SIZE)
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    result = invoke(
        *("train", "run", "site", "--joint", "--backbone", str(bare), "--data", str(few)),
        *("--out", str(tmp_path / "out"), *settings),
    )
    assert result.exit_code == 0, (result.output, result.exception)
    assert "cannot be trained and stays as it is: the graph has no weights" in result.output
    assert "too few people to hold ten out" in result.output
    assert "p003/yard/1.png: damaged or truncated" in result.output.replace("\n", "")
    assert "trained on 47 images of 12 people" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["site"], "give the network with --backbone NETWORK.onnx"),
        (["site", "--backbone", "NET"], "give the site's crops with --data DIR"),
        (["site", "--backbone", "none.onnx", "--data", "DIR"], "none.onnx: not there"),
        (["site", "--backbone", "NET", "--data", "THREE"], "3 of 3 people"),
        (["site", "--backbone", "NET", "--data", "ONE_CAMERA"], "0 of 12 people"),
        (
            ["site", "--backbone", "NET", "--data", "DIR", "--share", "2"],
            "give a number from 0 to 1, or auto",
        ),
        (["site", "--backbone", "NET", "--data", "DIR", "--minutes", "5"], "give --joint with it"),
        (["site", "--set", 'network.schemes=["jscc-xy-8"]'], "write jscc-fc-B"),
        (
            ["site", "--set", "joint.channel=fog"],
            "joint.channel: Input should be 'awgn', 'rayleigh'",
        ),
        (
            ["site", "--backbone", "NET", "--data", "DIR", "--also", "DIR"],
            "of its images are fitted on",
        ),
        (["demo", "--joint"], "--joint: only for recipe site"),
        (["site", "--protocol", "all", "--backbone", "NET", "--data", "DIR"], "without --protocol"),
    ],
)
def test_a_mistake_ends_in_one_sentence_before_anything_is_trained(
    arguments: list[str], message: str, folder: Path, network: Path, tmp_path: Path
) -> None:
    few, single = tmp_path / "three", tmp_path / "single"
    for number, path in enumerate(sorted(folder.iterdir())[:12]):
        shutil.copytree(path / "door", single / path.name / "door")
        if number < 3:
            shutil.copytree(path, few / path.name)
    known = {"NET": network, "DIR": folder, "THREE": few, "ONE_CAMERA": single}
    given = [str(known.get(argument, argument)) for argument in arguments]
    if "--share" in given:
        given.append("--joint")
    assert message in refusal(given, tmp_path / "out")


def refusal(arguments: list[str], out: Path) -> str:
    """Runs what must be refused in one sentence, and leave no folder of a run."""
    result = invoke("train", "run", *arguments, "--out", str(out))
    assert isinstance(result.exception, InputError), (result.output, result.exception)
    assert not (out / "recipe.json").exists()
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_a_run_does_not_lie_among_the_images_that_it_reads(
    folder: Path, network: Path, tmp_path: Path
) -> None:
    """Its report has pictures, which would be people's when the run goes on."""
    people = tmp_path / "people"
    shutil.copytree(folder / "p000", people / "p000")
    given = ["site", "--backbone", str(network), "--data", str(people)]
    assert f"lies in the images of {people}" in refusal(given, people / "run")
    given = ["site", "--backbone", str(network), "--data", str(folder), "--also", str(people)]
    assert f"lies in the images of {people}" in refusal(given, people / "run")


def test_two_runs_do_not_share_a_folder(
    trained: tuple[Path, Report], folder: Path, network: Path
) -> None:
    """The other run is a process of its own; its lock ends when it is killed."""
    out, _ = trained
    script = (
        "import pathlib, sys, time; from training.runs.place import held\n"
        "with held(pathlib.Path(sys.argv[1])): print('at work', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(out)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    run = SiteRun(recipe(), network, str(folder), out)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"at work\n"
        try:
            with pytest.raises(InputError, match="another run is at work there"):
                train_site(run, Report())
        finally:
            other.kill()
    assert train_site(run, Report()).bundle.bundle_id == load_bundle(out / "bundle").bundle_id


def test_another_network_in_a_runs_folder_is_named(
    trained: tuple[Path, Report], folder: Path, tmp_path: Path
) -> None:
    other = networks.write(tmp_path / "other.onnx", size=SIZE)
    run = SiteRun(recipe(), other, str(folder), trained[0], trained[0] / "cache")
    with pytest.raises(InputError, match="holds a run with another network"):
        train_site(run, Report())


def test_a_full_disk_costs_no_record_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marks of the folder are written whole or stay as they were."""
    claim(tmp_path, recipe(), {"train": "a"})
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(OSError, match="No space left"):
            claim(tmp_path, recipe(), {"train": "a"})
    claim(tmp_path, recipe(), {"train": "a"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.json", "recipe.json"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["site", "demo"])
def test_a_data_set_of_which_much_cannot_be_read_is_refused(
    name: str, folder: Path, network: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    for path in sorted(folder.iterdir())[:FEW]:
        shutil.copytree(path, damaged / path.name)
        truncate(damaged / path.name / "door" / "0.png")
    given = [name, "--data", str(damaged)]
    given += ["--backbone", str(network)] if name == "site" else []
    assert "15 of 60 images cannot be read" in refusal(given, tmp_path / "out")


def one_image_each(folder: Path, out: Path) -> Path:
    for path in sorted(folder.iterdir())[:FEW]:
        (out / path.name / "door").mkdir(parents=True)
        shutil.copy(path / "door" / "0.png", out / path.name / "door")
    return out


def copies_of_one(folder: Path, out: Path) -> Path:
    first, *others = sorted(folder.iterdir())[:FEW]
    for path in others:
        shutil.copytree(first, out / path.name)
    return out


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (one_image_each, "one image of each person; training needs several"),
        (copies_of_one, "people have the same image as another, p001 and p002 for example"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--joint"]])
def test_people_of_whom_nothing_can_be_learned_are_refused(
    images: Callable[[Path, Path], Path],
    message: str,
    options: list[str],
    folder: Path,
    network: Path,
    tmp_path: Path,
) -> None:
    data = images(folder, tmp_path / "people")
    given = ["site", "--backbone", str(network), "--data", str(data), *options]
    assert message in refusal(given, tmp_path / "out")


def test_photos_of_one_person_under_many_names_are_refused(network: Path, tmp_path: Path) -> None:
    """Other images each time, so that only the features tell that they are one person."""
    people = tmp_path / "people"
    for number in range(FEW):
        first = dress(tmp_path / f"drawn{number}", SIZE, 1, SHOTS, seed=5) / "p000"
        noise = np.random.default_rng(number)
        for path in first.glob("*/*"):
            pixels = np.asarray(Image.open(path)).astype(int) + noise.integers(-4, 5, (*SIZE, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
        shutil.copytree(first, people / f"p{number}")
    run = SiteRun(recipe(), network, str(people), tmp_path / "out")
    report = Report()
    with pytest.raises(InputError, match=r"as far as one of anybody .*; are these 12 different"):
        train_site(run, report)
    assert report.steps == {}


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ({"convolution": "float16"}, ["--joint"], "it is in half precision; export it in float32"),
        ({"dtype": "float16"}, ["--joint"], "it is in half precision; export it in float32"),
        ({"nan": True}, [], "gives NaN or infinity for every image"),
        ({"nan": True, "convolution": "float32"}, ["--joint"], "gives NaN or infinity"),
    ],
)
def test_networks_that_cannot_be_trained_on_are_refused(
    kind: dict[str, Any], options: list[str], message: str, folder: Path, tmp_path: Path
) -> None:
    path = networks.write(tmp_path / "made.onnx", size=SIZE, **kind)
    given = ["site", "--backbone", str(path), "--data", str(folder), *options, *SMALL]
    assert message in refusal(given, tmp_path / "out")


def test_minutes_that_hold_no_epoch_are_refused_before_heads_are_trained(
    folder: Path, network: Path, tmp_path: Path
) -> None:
    given = ["site", "--joint", "--backbone", str(network), "--data", str(folder), *SMALL]
    sentence = refusal([*given, "--minutes", "0.000001"], tmp_path / "out")
    assert "--minutes 1e-06: one epoch of 172 images takes about" in sentence
