"""Backbones that take other crops than 256x128: every way to a feature cuts as they want it."""

from __future__ import annotations

import io
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import airreid
from airreid.bundle import Bundle
from airreid.crop_folder import Crop, read_folder
from airreid.images import load
from airreid.inference import Network
from airreid.uplink_client import Uplink
from edge.encoder import Encoder
from edge.oneshot import OneShot
from simulation.people import from_folders
from simulation.plan import SimulationPlan, SimulationProgress
from simulation.run import run

from ..made_bundles import Size, made_bundle
from .conftest import access_point, channel, target

SIZES: tuple[Size, ...] = ((384, 128), (224, 224))


@pytest.fixture(scope="module")
def crops(people: Path) -> list[Crop]:
    """The first shots of every person by both cameras."""
    return [crop for crop in read_folder(people) if crop.path.stem.endswith("0")]


@dataclass
class Served:
    """A bundle's access point with everybody of camera 0 enrolled, and a channel before it."""

    bundle: Bundle
    data: Path
    ap: str
    rest: str
    channel: str


@pytest.fixture(scope="module", params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def served(
    request: pytest.FixtureRequest, crops: list[Crop], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    bundle = made_bundle(tmp_path_factory.mktemp("bundle"), [request.param])
    data = tmp_path_factory.mktemp("data")
    with access_point(data, "--bundle", str(bundle.path), "--keep-thumbnails") as ap:
        known = [crop for crop in crops if crop.camera == "cam-0"]
        with airreid.AccessPoint(target(ap)) as client:
            enrolled = client.enrol(
                [crop.path for crop in known],
                [crop.identity for crop in known],
                [crop.camera for crop in known],
            )
        assert all(entry.ok for entry in enrolled), enrolled
        with channel(target(ap), "--snr", "100") as link:
            rest = f"http://127.0.0.1:{ap.ready['http_port']}"
            yield Served(bundle, data, target(ap), rest, target(link))


def plain_features(bundle: Bundle, paths: list[Path]) -> np.ndarray:
    """Features by the graph alone, of images resized by Pillow."""
    info = bundle.backbone
    network = Network(bundle.file(info.file), 1)
    pictures = [Image.open(path).convert("RGB") for path in paths]
    size, how = (info.width, info.height), Image.Resampling.BICUBIC
    return network(np.stack([np.asarray(picture.resize(size, how)) for picture in pictures]))


def test_an_enrolled_image_is_found_by_search_and_kept_in_the_networks_size(
    served: Served, crops: list[Crop]
) -> None:
    known = [crop for crop in crops if crop.camera == "cam-0"]
    with airreid.AccessPoint(served.ap) as client:
        answers = client.search([crop.path for crop in known], top_k=2)
    for crop, answer in zip(known, answers, strict=True):
        assert answer.best is not None
        assert answer.best.subject == crop.identity
        assert answer.best.score == pytest.approx(1.0, abs=1e-5)
    assert len(known) == 12
    url = f"{served.rest}/v1/entries/{answers[0].hits[0].entry}/thumbnail"
    picture = Image.open(io.BytesIO(urllib.request.urlopen(url).read()))
    info = served.bundle.backbone
    assert picture.size == (info.width, info.height)


def test_the_edge_the_api_and_the_graph_alone_agree(served: Served, crops: list[Crop]) -> None:
    known = [crop for crop in crops if crop.camera == "cam-0"]
    asked = [crop.path for crop in crops if crop.camera == "cam-1"]
    encoder = Encoder(served.bundle, 1)
    expected = plain_features(served.bundle, asked)
    np.testing.assert_allclose(encoder.features([load(p) for p in asked]), expected, atol=1e-6)
    settings = encoder.send_settings(None, None, 12)
    assert settings.scheme_id == "jscc-fc-16"
    with (
        Uplink(served.channel) as uplink,
        OneShot(encoder, uplink, settings, "cam") as one_shot,
    ):
        sent = one_shot.send(asked)
    gallery = airreid.Gallery(airreid.Model(served.bundle))
    gallery.add([crop.path for crop in known], [crop.identity for crop in known])
    np.testing.assert_allclose(gallery.model.features(asked), expected, atol=1e-6)
    received = gallery.model.encode(asked)
    answers = gallery.search(gallery.model.decode(received), top_k=12)
    assert len(sent) == 12
    for outcome, answer in zip(sent, answers, strict=True):
        assert not outcome.error
        assert outcome.response is not None
        over_the_air = [(hit.subject, hit.score) for hit in outcome.response.identities]
        assert [subject for subject, _ in over_the_air] == [hit.subject for hit in answer]
        scores = [score for _, score in over_the_air]
        np.testing.assert_allclose(scores, [hit.score for hit in answer], atol=1e-3)


def test_two_sizes_in_one_bundle_are_simulated_and_replayed(
    crops: list[Crop], tmp_path: Path
) -> None:
    bundle = made_bundle(tmp_path / "bundle", SIZES)
    for crop in crops[:12]:
        part = "gallery" if crop.camera == "cam-0" else "queries"
        path = tmp_path / part / crop.identity / crop.camera / crop.path.name
        path.parent.mkdir(parents=True)
        path.symlink_to(crop.path)
    people = from_folders(tmp_path / "gallery", tmp_path / "queries", lambda *_: lambda: None)
    plan = SimulationPlan(("jscc-fc-16", "jscc-ae-32"), (), (0.0,), seed=0, window=4, threads=1)
    outcome = run(bundle, people, plan, SimulationProgress())
    assert [point.scheme for point in outcome.points] == ["jscc-fc-16", "jscc-ae-32"]
    assert all(point.replay_identical == point.queries == 6 for point in outcome.points)
    image = load(crops[0].path)
    assert airreid.Model(bundle, "jscc-ae-16").features(image).shape == (1, 3 * 12 * 4)
    assert airreid.Model(bundle, "jscc-ae-32").features(image).shape == (1, 3 * 7 * 7)
    encoder = Encoder(bundle, 1)
    assert encoder.crop(image, "jscc-fc-16").shape == (384, 128, 3)
    assert encoder.crop(image, "jscc-fc-32").shape == (224, 224, 3)
