"""From an ONNX network and a folder to a bundle: what is found, chosen, measured and refused."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from airreid.adopt.images import open_images
from airreid.adopt.int8 import NO_CONVOLUTIONS
from airreid.adopt.network import PlainNetwork, load_network, read_interface
from airreid.adopt.pipeline import Adoption, adopt
from airreid.adopt.preprocessing import PRESETS
from airreid.adopt.search_preprocessing import find_preprocessing
from airreid.bundle import load_bundle
from airreid.cli import build
from airreid.codecs.comparison import SNRS_DB
from airreid.codecs.selection import Wanted, hold_out, select
from airreid.errors import InputError
from airreid.inference import BackboneRunner
from airreid.retrieval import Labels, NearestMatch, cosine, evaluate_ranking, rank
from airreid.scheme_kinds import open_scheme

from . import networks
from .people import dress

SIZE = (96, 64)
PEOPLE, SHOTS = 60, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 people, each in colours of their own, seen by two cameras of different light."""
    return dress(tmp_path_factory.mktemp("dressed"), SIZE, PEOPLE, SHOTS)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return networks.write(tmp_path_factory.mktemp("network") / "made net.onnx", size=SIZE)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build(arguments), list(arguments))


def test_a_network_is_adopted_and_finds_people_over_the_air(
    network: Path, folder: Path, tmp_path: Path
) -> None:
    out, cache = tmp_path / "mine", tmp_path / "cache"
    result = invoke(
        *("adopt", str(network), "--images", str(folder), "--out", str(out)),
        *("--cache", str(cache), "--preset", "half", "--seeds", "2"),
        *("--scheme", "jscc-fc-8", "--scheme", "jscc-ae-8", "--scheme", "digital-32"),
    )
    assert result.exit_code == 0, (result.output, result.exception)
    assert "no channel, made-net" in result.output
    bundle = load_bundle(out)
    assert bundle.scheme_ids == ["jscc-fc-8", "jscc-ae-8", "digital-32"]
    assert (bundle.backbone.height, bundle.backbone.width) == SIZE
    assert bundle.backbone.feature_dim == 3 * 3 * 2
    card = bundle.manifest.provenance.adopted
    assert card is not None
    assert card.held_out_people == PEOPLE // 5
    assert card.top1["jscc-fc-8 analog at +20 dB"] > 0.7
    rows = json.loads((tmp_path / "mine-report" / "accuracy.json").read_text())
    assert rows["identities"] == PEOPLE // 5
    assert (tmp_path / "mine-report" / "accuracy.png").read_bytes()[:4] == b"\x89PNG"
    page = (out / "README.md").read_text(encoding="utf-8")
    assert card.sha256 in page
    assert f"jscc-ae-8        {card.codes['jscc-ae-8']}" in page
    assert f"of {PEOPLE // 5} identities against" in page
    assert str(tmp_path) not in page
    assert f"int8     {NO_CONVOLUTIONS}" in result.output
    assert card.int8 == NO_CONVOLUTIONS
    runner = BackboneRunner(bundle, bundle.backbone, threads=1)
    crops = networks.crops(4, SIZE)
    features = runner.features(crops)
    values = np.tanh((crops / 255 - 0.5) / 0.5).reshape(4, 3, 32, 2, 32, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(features, values.transpose(0, 3, 1, 2).reshape(4, -1), atol=1e-4)
    for info in bundle.manifest.schemes:
        scheme = open_scheme(bundle, info, 1)
        link = "coded" if info.kind == "digital" else "analog"
        payloads = scheme.pack(features, link)  # type: ignore[arg-type]
        received = scheme.unpack(payloads, [40.0] * 4)
        assert not received.lost.any()
        np.testing.assert_allclose(received.embeddings, scheme.gallery(features), atol=1e-4)
    again = invoke("evaluate", "--bundle", str(out), "--data", str(folder), "--snr", "10")
    assert again.exit_code == 0, again.output


def red_people(shown: float) -> tuple[Callable[[np.ndarray], np.ndarray], Labels]:
    """Crops of 60 people who differ in red only, by two cameras; ``shown`` of them clearly."""
    random = np.random.default_rng(3)
    names, cameras = np.repeat(np.arange(60), 4), np.tile([0, 0, 1, 1], 60)
    dress = np.full((60, 3, 2, 3), 120.0)
    dress[..., 0] += random.uniform(-100, 100, (60, 3, 2)) * shown
    fields = dress[names] + random.normal(0, 14, (len(names), 3, 2, 3))
    crops = np.clip(fields, 0, 255).astype(np.uint8).repeat(32, axis=1).repeat(32, axis=2)
    return lambda positions: crops[positions], Labels(names, cameras)


def test_preprocessing_is_found_by_trying_or_asked_for(tmp_path: Path) -> None:
    """Pixels squashed by tanh: raw 0 ... 255 is saturated; red weighs most, so BGR is worse."""
    path = networks.write(tmp_path / "red.onnx", size=SIZE, gain=(1.0, 0.2, 0.05))
    plain = PlainNetwork(path, read_interface(path, load_network(path)), 1)
    load, labels = red_people(1.0)
    choice = find_preprocessing(plain.features, load, labels, "float32")
    assert "bgr" not in choice.name
    assert "raw" not in choice.name
    means = {trial.name: trial.mean for trial in choice.trials}
    assert means[choice.name] > max(means["raw"], means["half-bgr"]) + 0.1
    assert choice.name in choice.words
    tracks = Labels(labels.identity, np.zeros_like(labels.camera))  # each seen by one camera
    within = find_preprocessing(plain.features, load, tracks, "float32")
    assert within.name == choice.name
    assert "60 people or tracks, each within one camera" in within.words
    assert "camera" not in choice.words
    load, labels = red_people(0.0)  # nobody differs: nothing can be found
    with pytest.raises(InputError, match=r"preprocessing is not clear: .* say which with --preset"):
        find_preprocessing(plain.features, load, labels, "float32")
    few = Labels(np.repeat(np.arange(4), 4), np.tile(np.arange(2), 8))
    with pytest.raises(InputError, match="fewer than 10 people"):
        find_preprocessing(plain.features, load, few, "float32")


def people(count: int, cameras: int = 2, seed: int = 0) -> tuple[np.ndarray, Labels]:
    """Features whose loudest directions are the camera's, and labels."""
    random = np.random.default_rng(seed)
    names, camera = np.repeat(np.arange(count), 3 * cameras), np.tile(np.arange(cameras), 3 * count)
    who = np.pad(random.standard_normal((count, 10)), ((0, 0), (10, 0)))
    noise = random.standard_normal((len(names), 20)) * np.repeat((3.0, 0.4), 10)
    return (who[names] + noise).astype(np.float32), Labels(names.astype(np.int64), camera)


@pytest.mark.parametrize("decoded", [False, True])
def test_no_choice_is_below_pca_on_people_held_out(decoded: bool) -> None:
    features, labels = people(80)
    choices, split = select(features, labels, [Wanted(4, decoded), Wanted(10, decoded)])
    assert split is not None
    assert split.people == 16
    for wish, choice in choices.items():
        decoder = "least-squares decoder" if choice.least_squares else choice.method
        chosen = np.mean(choice.held_out[decoder])
        assert ("least-squares decoder" in choice.held_out) == decoded
        assert choice.least_squares == ("least-squares" in choice.words)
        assert chosen == max(np.mean(rates) for rates in choice.held_out.values())
        assert chosen > np.mean(choice.held_out["pca"]) + 0.1, "labels must help here"
        assert len(choice.held_out["pca"]) == len(SNRS_DB)
        assert choice.code.bandwidth == wish.bandwidth
        assert (choice.decoder is not None) == decoded


def test_without_labels_or_people_to_hold_out_it_is_pca() -> None:
    features, labels = people(80)
    for unlabelled in (None, labels.take(labels.identity < 0)):
        if unlabelled is None:
            choices, split = select(features, None, [Wanted(4)])
            assert (choices[Wanted(4)].method, split) == ("pca", None)
    features, labels = people(12)
    choices, split = select(features, labels, [Wanted(4)])
    assert (choices[Wanted(4)].words, split) == ("PCA", None)


def test_held_out_people_and_cameras_are_not_fitted_on() -> None:
    _, labels = people(60, cameras=10)
    split = hold_out(labels)
    assert split is not None
    assert split.cameras == 2
    assert not set(labels.identity[split.fit]) & set(labels.identity[split.query])
    assert not set(labels.camera[split.fit]) & set(labels.camera[split.query])
    assert len(set(labels.identity[split.query])) == split.people == 12


def test_the_fast_top1_is_the_exact_one() -> None:
    random = np.random.default_rng(2)
    queries = Labels(random.integers(-1, 6, 50), random.integers(0, 3, 50))
    gallery = Labels(random.integers(-1, 6, 70), random.integers(0, 3, 70))
    embeddings = np.round(random.standard_normal((70, 3)), 1)  # ties
    scores = cosine(np.round(random.standard_normal((50, 3)), 1), embeddings)
    exact = evaluate_ranking(rank(scores), queries, gallery)
    assert NearestMatch(queries, gallery).top1(scores) == exact.top1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scheme", "jscc-fc-8", "--scheme", "jscc-fc-8"], "every id once"),
        (["--scheme", "jscc-xy-8"], "write jscc-fc-B or jscc-ae-B or jscc-nested-B or digital-B"),
        (["--scheme", "jscc-fc-64"], "18 directions"),
        (["--preset", "imagenette"], "--preset imagenette: there are imagenet"),
        (["--preset", "half", "--scale", "1"], "give it or --scale"),
        (["--resize", "128"], "write HEIGHTxWIDTH"),
        (["--resize", "128x64"], "takes images of 96 x 64 alone, not of 128x64"),
        (["--no-identities"], "say it with --preset"),
        (["--std", "1", "0", "1"], "must be above 0"),
        (["--std", "1", "inf", "1"], "must be above 0"),
        (["--std", "1", "1", "1", "--mean", "0", "nan", "0"], "must be finite"),
        (["--std", "1", "1", "1", "--scale", "nan"], "must be above 0"),
        (["--scheme", "jscc-fc-8", "--scheme", "digital-256"], "but digital-256 takes 36; give"),
    ],
)
def test_a_mistake_ends_in_one_sentence(
    network: Path, folder: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    out = tmp_path / "out"
    preset = (
        [] if {"--preset", "--no-identities", "--std"} & set(arguments) else ["--preset", "half"]
    )
    result = invoke(
        *("adopt", str(network), "--images", str(folder), "--out", str(out)),
        *("--cache", str(tmp_path / "cache"), *preset, *arguments),
    )
    assert isinstance(result.exception, InputError), result.output
    assert message in str(result.exception)
    assert not out.exists()
    assert not list(tmp_path.glob("*.part")), "nothing half-made stays"


def test_usual_schemes_that_few_crops_cannot_carry_are_left_out(tmp_path: Path) -> None:
    network = networks.write(tmp_path / "net.onnx")  # 8 x 4 fields of three colours
    folder, out = tmp_path / "crops", tmp_path / "out"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (80, 8, 4, 3), np.uint8)
    for number, crop in enumerate(pixels):
        Image.fromarray(crop).resize((128, 256)).save(folder / f"{number}.png")
    result = invoke(
        *("adopt", str(network), "--images", str(folder), "--out", str(out), "--preset", "half"),
        *("--cache", str(tmp_path / "cache"), "--no-identities", "--no-int8"),
    )
    assert result.exit_code == 0, (result.output, result.exception)
    assert load_bundle(out).scheme_ids == ["jscc-fc-64", "digital-256"]
    assert "left out, too few crops to fit on: jscc-fc-256, jscc-ae-256" in result.output


@pytest.mark.parametrize("moment", ["features of", "codes of", "features of query"])
def test_a_signal_leaves_nothing_half_made(
    network: Path, folder: Path, tmp_path: Path, moment: str
) -> None:
    adoption = Adoption(
        network,
        open_images(str(folder)),
        tmp_path / "out",
        ("jscc-fc-8",),
        preprocessing=PRESETS["half"],
        cache=tmp_path / "cache",
    )
    moments = []

    def phase(name: str, steps: int) -> Callable[[], object]:
        moments.append(name)
        if name.startswith(moment):
            assert list(tmp_path.glob(".out.*.part"))
            os.kill(os.getpid(), signal.SIGTERM)
        return lambda: None

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        adopt(adoption, phase)
    assert ended.value.code == 128 + signal.SIGTERM
    assert moments[-1].startswith(moment)
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}
    assert signal.getsignal(signal.SIGTERM) == before


def test_uint8_pixels_are_given_as_they_are(folder: Path, tmp_path: Path) -> None:
    network = networks.write(tmp_path / "n.onnx", size=SIZE, dtype="uint8")
    result = invoke(
        *("adopt", str(network), "--images", str(folder), "--out", str(tmp_path / "out")),
        *("--preset", "half", "--scheme", "jscc-fc-8"),
    )
    assert isinstance(result.exception, InputError)
    assert "takes uint8, so its preprocessing is inside it already" in str(result.exception)


def test_images_that_teach_nothing_are_refused(network: Path, folder: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    messages = []
    for count in (0, 1, 12):
        for number in range(count):
            source = next(iter(sorted(folder.rglob("*.png"))))
            (images / f"{number}.png").write_bytes(source.read_bytes())
        result = invoke(
            *("adopt", str(network), "--images", str(images), "--out", str(tmp_path / "out")),
            *("--preset", "half", "--scheme", "jscc-fc-8"),
        )
        assert isinstance(result.exception, InputError)
        messages.append(str(result.exception))
    assert "no images; give a JPEG" in messages[0]
    assert "1 images, all the same; give different crops" in messages[1]
    assert "12 images, all the same; give different crops" in messages[2]
    alone = dress(tmp_path / "one", SIZE, 1, 2)
    with pytest.raises(
        InputError, match=r"one identity only, .*--tracks; or let .*--no-identities"
    ):
        open_images(str(alone))


def test_grey_crops_do_not_tell_the_order_of_colours(tmp_path: Path) -> None:
    path = networks.write(tmp_path / "red.onnx", size=SIZE, gain=(1.0, 0.2, 0.05))
    plain = PlainNetwork(path, read_interface(path, load_network(path)), 1)
    load, labels = red_people(1.0)
    taken = []

    def grey(positions: np.ndarray) -> np.ndarray:
        return load(positions)[..., :1].repeat(3, axis=3)

    def extract(pixels: np.ndarray) -> np.ndarray:
        taken.append(len(pixels))
        return plain.features(pixels)

    choice = find_preprocessing(extract, grey, labels, "float32")
    assert choice.grey
    assert "these crops are grey, so RGB or BGR is not told" in choice.words
    assert "-bgr" not in choice.words
    assert max(taken) <= 16, "a large network needs memory for every crop of a batch"
    assert not find_preprocessing(extract, load, labels, "float32").grey


def test_crops_of_nobody_give_pca(network: Path, folder: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(folder.rglob("*.png"))[:60]):
        (flat / f"{number}.png").write_bytes(path.read_bytes())
    damaged = (flat / "7.png").read_bytes()
    (flat / "7.png").write_bytes(damaged[: len(damaged) // 2])
    result = invoke(
        *("adopt", str(network), "--images", str(flat), "--out", str(tmp_path / "out")),
        *("--cache", str(tmp_path / "cache"), "--preset", "half", "--scheme", "jscc-fc-8"),
    )
    assert result.exit_code == 0, (result.output, result.exception)
    assert f"1 file left out ({flat / '7.png'}: damaged" in result.output.replace("\n", " ")
    assert "PCA" in result.output
    assert "the images say nobody's identity" in result.output
    assert "int8     not tried: no people are held out" in result.output
    assert load_bundle(tmp_path / "out").scheme_ids == ["jscc-fc-8"]
