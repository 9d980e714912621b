"""The Python API computes what the parts beneath it compute, and says what is wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import airreid
from airreid.bundle import Bundle
from airreid.channels import models
from airreid.channels.settings import link_settings
from airreid.crop_folder import Crop, read_folder
from airreid.evaluation.points import scheme_points
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.noise import NoiseStream
from airreid.offline import LINK_NAME, replay
from airreid.payload import Analog, Link
from airreid.retrieval import Labels

PAIRS: list[tuple[str, Link]] = [
    ("jscc-ae-256", "analog"),
    ("jscc-fc-256", "analog"),
    ("digital-256", "coded"),
    ("digital-256", "ideal"),
]


@pytest.fixture(scope="module")
def crops(people: Path) -> list[Crop]:
    return read_folder(people)


def halves(
    features: np.ndarray, crops: list[Crop]
) -> tuple[np.ndarray, list[Crop], np.ndarray, list[Crop]]:
    """Features and crops of camera 0, the gallery's, and of camera 1, the queries'."""
    first = np.array([crop.camera == "cam-0" for crop in crops])
    known = [crop for crop in crops if crop.camera == "cam-0"]
    asked = [crop for crop in crops if crop.camera != "cam-0"]
    return features[first], known, features[~first], asked


def enrolled(model: airreid.Model, features: np.ndarray, known: list[Crop]) -> airreid.Gallery:
    gallery = airreid.Gallery(model)
    gallery.add(features, [c.identity for c in known], [c.camera for c in known])
    return gallery


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = {"numpy", "torch", "grpc", "google", "pydantic", "PIL", "onnxruntime", "faiss", "scipy"}
    code = "import sys, airreid; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    names = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not heavy & set(names)


def test_a_missing_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "import airreid\n"
        "try:\n    airreid.Model\nexcept ImportError as error:\n    print(error)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "airreid.Model needs onnxruntime" in process.stdout
    assert "airreid[evaluate]" in process.stdout
    with pytest.raises(AttributeError, match="no attribute 'Modell'"):
        airreid.Modell  # type: ignore[attr-defined]  # noqa: B018


def test_images_of_every_form_give_the_same_features(people: Path, features: np.ndarray) -> None:
    model = airreid.Model(scheme_id="jscc-fc-256")
    paths = sorted(people.rglob("*.png"))[:3]
    pictures = [Image.open(path) for path in paths]
    arrays = [np.asarray(picture) for picture in pictures]
    for images in (paths, [str(path) for path in paths], pictures, arrays, np.stack(arrays)):
        np.testing.assert_array_equal(model.features(images), features[:3])
    for image in (paths[0], str(paths[0]), pictures[0], arrays[0]):
        np.testing.assert_array_equal(model.features(image), features[:1])
    crops = airreid.read_crops(people)
    assert crops.images[:3] == paths
    assert model.features([]).shape == (0, 2048)


@pytest.mark.parametrize(("scheme_id", "link"), PAIRS)
@pytest.mark.parametrize("snr_db", [-6.0, 4.0])
def test_rankings_are_those_of_the_offline_replay(
    bundle: Bundle,
    features: np.ndarray,
    crops: list[Crop],
    scheme_id: str,
    link: Link,
    snr_db: float,
) -> None:
    known_features, known, queries, _ = halves(features, crops)
    model = airreid.Model(bundle, scheme_id)
    gallery = enrolled(model, known_features, known)
    radio = airreid.channel("awgn", snr_db=snr_db, seed=11, link="cam-3")
    received, report = radio.transmit(model.encode(queries, link), first_block=500)
    expected = replay(
        model.scheme, link, known_features, queries, snr_db, NoiseStream(11, "cam-3"), 500
    )
    decoded = model.decode(received, report)
    np.testing.assert_array_equal(gallery.rank(decoded), expected.order)
    np.testing.assert_array_equal(gallery.scores(decoded), expected.scores)
    assert (report.snr_db == snr_db).all()
    hits = gallery.search(decoded, top_k=4)
    for row, order in zip(hits, expected.order, strict=True):
        if order[0] < 0:
            assert row == []
            continue
        subjects = list(dict.fromkeys(known[entry].identity for entry in order))[:4]
        assert [hit.subject for hit in row] == subjects
        assert (row[0].entry, row[0].camera) == (order[0], "cam-0")


@pytest.mark.parametrize("channel", ["awgn", "rayleigh"])
@pytest.mark.parametrize(("scheme_id", "link"), PAIRS)
def test_accuracy_is_that_of_the_evaluation(
    bundle: Bundle,
    features: np.ndarray,
    crops: list[Crop],
    scheme_id: str,
    link: Link,
    channel: str,
) -> None:
    known_features, known, queries, asked = halves(features, crops)
    model = airreid.Model(bundle, scheme_id)
    number = {name: i for i, name in enumerate(sorted({crop.identity for crop in crops}))}
    labels = [
        Labels(
            np.array([number[crop.identity] for crop in half]),
            np.array([int(crop.camera == "cam-1") for crop in half]),
        )
        for half in (known, asked)
    ]
    data = RetrievalFeatures(known_features, labels[0], queries, labels[1])
    [point] = scheme_points("demo", model.scheme, link, data, [1.0], range(3), channel=channel)
    result = airreid.evaluate(
        enrolled(model, known_features, known),
        queries,
        [crop.identity for crop in asked],
        [crop.camera for crop in asked],
        airreid.channel(channel, snr_db=1.0, seed=99, link=LINK_NAME),
        seeds=3,
        link=link,
    )
    assert result.queries == point.queries == 36
    assert result.top1.value == pytest.approx(point.top1, abs=1e-5)
    assert result.top5.value == pytest.approx(point.top5, abs=1e-5)
    assert result.mean_ap.value == pytest.approx(point.map, abs=1e-5)
    assert result.outage == pytest.approx(point.outage, abs=1e-5)
    if link != "ideal":
        assert result.top1.half_width == pytest.approx(point.top1_half_width, abs=1e-5)


def test_without_cameras_no_entry_is_left_out_and_without_a_channel_nothing_is_lost(
    features: np.ndarray,
    crops: list[Crop],
) -> None:
    gallery = enrolled(airreid.Model(), features, crops)
    subjects = [crop.identity for crop in crops]
    same = airreid.evaluate(gallery, features, subjects)
    assert (same.top1.value, same.outage, same.queries) == (1.0, 0.0, len(crops))
    across = airreid.evaluate(gallery, features, subjects, [crop.camera for crop in crops])
    assert across.mean_ap.value < 1.0


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "rayleigh", "csi": False},
        {"model": "rician", "doppler": 0.02, "k_factor_db": 3.0},
        {"model": "impulsive"},
        {"model": "erasure", "erasure_probability": 0.4},
        {"model": "awgn", "snr_range_db": (-5.0, 5.0)},
    ],
    ids=lambda settings: settings["model"],
)
def test_a_channel_is_the_model_of_the_simulator(settings: dict[str, object]) -> None:
    rng = np.random.default_rng(0)
    sent = airreid.channel().transmit(np.ones((5, 33), np.float32))[0] + rng.random((5, 33))
    sent = (sent / np.sqrt(np.square(sent).mean(axis=1, keepdims=True))).astype(np.float32)
    radio = airreid.channel(**settings, seed=6, link="cam-2")  # type: ignore[arg-type]
    received, report = radio.transmit(sent, first_block=2**63)
    expected, met = models.apply(
        link_settings(**settings, seed=6),
        sent,
        NoiseStream(6, "cam-2"),
        np.arange(5, dtype=np.uint64) + np.uint64(2**63),
    )
    np.testing.assert_array_equal(received, expected)
    np.testing.assert_allclose(report.snr_db, met.report_db)
    np.testing.assert_array_equal(report.gain, met.residual_gain)
    other, _ = airreid.channel("awgn").transmit(
        sent, first_block=2**63, link="cam-2", seed=6, **settings
    )
    np.testing.assert_array_equal(other, expected)


@pytest.mark.parametrize("bandwidth", [8, 7])
def test_a_gradient_is_pulled_back_through_the_gain(bandwidth: int) -> None:
    """Against finite differences: what is received is linear in what is sent."""
    radio = airreid.channel("rayleigh", snr_db=40, seed=3, csi=False)
    sent = np.ones((3, bandwidth), np.float32)
    received, report = radio.transmit(sent)
    weights = np.random.default_rng(1).standard_normal(sent.shape)
    slopes = np.zeros(sent.shape)
    for place in np.ndindex(*sent.shape):
        moved = sent.copy()
        moved[place] += 0.5
        slopes[place] = (weights * (radio.transmit(moved)[0] - received)).sum() / 0.5
    np.testing.assert_allclose(report.pull_back(weights), slopes, atol=1e-4)
    straight = airreid.channel("rayleigh", snr_db=0).transmit(sent)[1]
    np.testing.assert_array_equal(straight.pull_back(sent), sent)


def test_a_report_says_the_power_that_blocks_really_have() -> None:
    sent = np.ones((2, 64), np.float32) * np.array([[1.0], [2.0]], np.float32)
    _, report = airreid.channel(snr_db=3).transmit(sent)
    np.testing.assert_allclose(report.snr_db, [3.0, 3.0 + 20 * np.log10(2)])


def test_a_gallery_adds_all_or_nothing_and_removes(features: np.ndarray) -> None:
    gallery = airreid.Gallery(airreid.Model())
    gallery.add(features[:4], ["a", "b", "a", "c"])
    before = gallery.embeddings
    for images, subjects in ((features[:3], ["a"]), (features[:2, :7], "a"), ([1], "a")):
        with pytest.raises(airreid.InputError):
            gallery.add(images, subjects)  # type: ignore[arg-type]
    assert len(gallery) == 4
    assert gallery.remove("a") == 2
    assert gallery.subjects == ["b", "c"]
    np.testing.assert_array_equal(gallery.embeddings, before[[1, 3]])
    np.testing.assert_array_equal(gallery.features, features[[1, 3]])
    assert [hit.subject for hit in gallery.search(before[[3]])[0]] == ["c", "b"]
    with pytest.raises(airreid.InputError, match="no subject 'a'"):
        gallery.remove("a")


def mistakes() -> Iterator[tuple[str, Callable[..., object], tuple[object, ...]]]:
    """Yields a part of the message, and the call that is wrong."""
    model, digital = airreid.Model(), airreid.Model(scheme_id="digital-256")
    gallery, radio = airreid.Gallery(model), airreid.channel()
    feature, symbols = np.zeros((2, 2048), np.float32), np.ones((1, 4), np.float32)
    blocks, ideal = model.encode(feature), digital.encode(feature, "ideal")
    report, image = radio.transmit(symbols)[1], np.ones((9, 9, 3), np.uint8)
    yield "no scheme 'x'", airreid.Model, (None, "x")
    yield "nowhere", airreid.Model, ("nowhere",)
    yield "image 0: a int; give a path", model.encode, ([1],)
    yield "cannot be read", model.encode, ("missing.png",)
    yield "image 1: 4x4 pixels", model.encode, ([image, Image.new("RGB", (4, 4))],)
    yield "image 0: int64 array", model.encode, ([image.astype(np.int64)],)
    yield "image array of shape", model.encode, (image[0],)
    yield "features of shape", model.encode, (feature[:, :9],)
    yield "features: value 0 is nan", model.encode, (feature + np.float32(np.nan),)
    yield "has no coded link", model.encode, (feature, "coded")
    yield "bits and have no symbols", lambda: ideal.symbols, ()
    yield "these blocks need", blocks.with_symbols, (symbols,)
    yield "cannot be decoded by", model.decode, (ideal,)
    yield "do not say their size", digital.decode, (np.ones((1, 256), np.float32),)
    yield "symbols of shape", model.decode, (symbols,)
    yield "a report of 1 blocks for 2", model.decode, (blocks, report)
    yield "symbols of shape", radio.transmit, (symbols[0],)
    yield "symbols: value 0 is inf", radio.transmit, (symbols * np.float32(np.inf),)
    yield "link model", airreid.channel, ("rain",)
    yield "link snr_db", airreid.channel, ("awgn", 1e4)
    yield "gradient of shape", report.pull_back, (np.ones((2, 4)),)
    yield "query embeddings of shape", gallery.search, (symbols,)
    yield "top_k 0", gallery.search, (model.embed(feature), 0)
    yield "no query has its subject", airreid.evaluate, (gallery, feature, ["a", "b"])
    yield "1 subjects for 2 queries", airreid.evaluate, (gallery, feature, ["a"])
    yield "give at least one", airreid.evaluate, (gallery, feature, "ab", None, None, 0)
    yield "first_block -1: give 0 to 2^64 - 1", radio.transmit, (symbols, -1)
    yield "first_block", radio.transmit, (blocks, 2**64 - 1)
    yield "first_block 1.5", radio.transmit, (symbols, 1.5)
    yield "no path of a file", model.encode, ("a\0b",)
    yield "image 0: a NoneType; give a path", model.features, (None,)
    yield "image 0: a float64; give a path", model.encode, (np.float64(3),)
    yield "subjects: 3 at 1 is no name", gallery.add, (feature, ["a", 3])
    yield "cameras: None at 0 is no name", gallery.add, (feature, "a", [None, "c"])
    yield "subjects: 1 at 0 is no name", airreid.evaluate, (gallery, feature, [1, 2])
    yield "seeds '3'", airreid.evaluate, (gallery, feature, "ab", None, None, "3")
    yield "top_k None", gallery.search, (model.embed(feature), None)
    yield "blocks are not decoded yet", gallery.search, (blocks,)
    yield "does not name rows of 2 blocks", blocks.__getitem__, (np.array([True]),)
    yield "link 3: give its name", airreid.Channel, (radio.settings, 3)
    yield "at most 128 characters", airreid.Channel, (radio.settings, "x" * 129)
    yield "not valid text", airreid.Channel, (radio.settings, "\ud800")
    yield "bandwidth 65537", radio.transmit, (np.ones((1, 65537)),)
    yield "no protocol", airreid.synthetic_people, (0,)
    yield "no such folder", airreid.read_crops, ("nowhere",)


def test_mistakes_are_said_in_one_line() -> None:
    for says, call, arguments in mistakes():
        with pytest.raises(airreid.AirReidError) as refused:
            call(*arguments)
        assert says in str(refused.value)
        assert "\n" not in str(refused.value)


def test_nothing_sent_is_nothing_received() -> None:
    model = airreid.Model()
    received, report = airreid.channel().transmit(model.encode([]))
    assert len(received) == len(report) == len(model.decode(received, report).lost) == 0
    assert model.decode(received, report).embeddings.shape == (0, model.info.embedding_dim)
    received, report = airreid.channel("rayleigh").transmit(np.ones((0, 8)), first_block=7)
    assert (received.shape, report.model, report.first_block) == ((0, 8), "rayleigh", 7)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda values: values * np.float32(np.nan), "is nan; all must be finite"),
        (lambda values: values + np.float32(np.inf), "is inf; all must be finite"),
        (lambda values: values + 1j, "give I and Q as two real uses"),
        (lambda values: values.astype(str), "no array of numbers"),
    ],
    ids=["nan", "infinite", "complex", "text"],
)
def test_only_finite_real_numbers_pass(
    change: Callable[[np.ndarray], np.ndarray], says: str, features: np.ndarray
) -> None:
    model, radio = airreid.Model(scheme_id="jscc-fc-256"), airreid.channel()
    blocks = model.encode(features[:2])
    bad = change(blocks.symbols)
    calls: list[Callable[[np.ndarray], object]] = [radio.transmit, blocks.with_symbols]
    for call in [*calls, model.decode]:
        with pytest.raises(airreid.InputError, match=says):
            call(bad)
    damaged = replace(blocks, payloads=tuple(Analog(row) for row in bad))
    for take in (radio.transmit, model.decode):
        with pytest.raises(airreid.InputError, match=says):
            take(damaged)
    with pytest.raises(airreid.InputError, match=r"finite|I and Q|no array of numbers"):
        airreid.Gallery(model).search(bad)


def test_a_report_may_be_any_real_numbers_within_the_bounds(features: np.ndarray) -> None:
    model = airreid.Model(scheme_id="digital-256")
    blocks = model.encode(features[:2])
    expected = model.decode(blocks, 5.0)
    assert not expected.lost.any()
    same = (5, np.float32(5), np.int64(5), np.array(5.0), np.array([5, 5]), [5.0, 5.0])
    for report in (*same, Fraction(5), np.inf, [5.0, np.inf]):
        decoded = model.decode(blocks, report)  # type: ignore[arg-type]
        np.testing.assert_array_equal(decoded.embeddings, expected.embeddings)
    for report in (np.nan, -np.inf, 1e4, -61.0, [5.0, 101.0], [5.0], "5", 5j, [[5.0, 5.0]]):
        with pytest.raises(airreid.InputError, match="report"):
            model.decode(blocks, report)  # type: ignore[arg-type]
    loud = airreid.channel(snr_db=100).transmit(blocks.with_symbols(blocks.symbols * 4))
    assert (loud[1].snr_db > 100).all()
    assert not model.decode(*loud).lost.any()


def test_blocks_are_chosen_by_masks_and_numbers_and_decoded_from_lists(
    features: np.ndarray,
) -> None:
    model = airreid.Model(scheme_id="jscc-fc-256")
    blocks = model.encode(features[:3])
    for rows in (np.array([True, False, True]), [0, 2], np.array([0, -1])):
        np.testing.assert_array_equal(blocks[rows].symbols, blocks.symbols[[0, 2]])
    assert len(blocks[np.int64(1)]) == 1
    assert len(blocks[[]]) == 0
    np.testing.assert_array_equal(
        model.decode(blocks.symbols.tolist()).embeddings,  # type: ignore[arg-type]
        model.decode(blocks).embeddings,
    )


def test_an_image_that_cannot_be_loaded_is_named_by_its_position(
    people: Path, tmp_path: Path
) -> None:
    whole = next(people.rglob("*.png"))
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    closed = Image.new("RGB", (64, 128))
    closed.close()
    with Image.open(tmp_path / "cut.png") as cut:
        for image in (cut, closed):
            with pytest.raises(airreid.InputError, match="image 1: cannot be read"):
                airreid.Model().features([whole, image])
