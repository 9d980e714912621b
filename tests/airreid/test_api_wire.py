"""The API's channel and gallery give what real processes give."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import airreid
from airreid.api import remote_channel
from airreid.bundle import Bundle
from airreid.client import ChannelClient
from airreid.payload import Link
from airreid.v1 import channel_pb2

from .conftest import Services

TIE = 1e-5
"""Scores closer than this may rank either way: FAISS adds in float32, NumPy in float64."""


@pytest.fixture(scope="module")
def crops(people: Path) -> airreid.Crops:
    return airreid.read_crops(people)


@pytest.fixture(scope="module")
def known(services: Services, crops: airreid.Crops) -> list[int]:
    """Rows of the crops by camera 0, which are enrolled."""
    rows = [row for row, camera in enumerate(crops.cameras) if camera == "cam-0"]
    with airreid.AccessPoint(services.access_point) as ap:
        for subject in ap.subjects():
            ap.delete(subject)
        enrolled = ap.enrol(
            [crops.images[row] for row in rows],
            [crops.subjects[row] for row in rows],
            [crops.cameras[row] for row in rows],
        )
    assert all(entry.ok for entry in enrolled)
    return rows


@pytest.mark.parametrize(
    ("scheme_id", "link"),
    [("jscc-ae-256", "analog"), ("digital-256", "coded"), ("digital-256", "ideal")],
)
@pytest.mark.parametrize(
    "settings",
    [
        {"model": "awgn", "snr_db": 1.0, "seed": 11},
        {"model": "rayleigh", "snr_db": 3.0, "seed": 5},
        {"model": "rician", "snr_db": 6.0, "csi": False, "k_factor_db": 20.0},
        {"model": "erasure", "snr_db": 8.0, "erasure_probability": 0.2, "seed": 2},
    ],
    ids=lambda settings: settings["model"],
)
def test_offline_is_over_the_wire(
    services: Services,
    bundle: Bundle,
    crops: airreid.Crops,
    features: np.ndarray,
    known: list[int],
    settings: dict[str, object],
    scheme_id: str,
    link: Link,
) -> None:
    model = airreid.Model(bundle, scheme_id)
    gallery = airreid.Gallery(model)
    gallery.add(features[known], [crops.subjects[row] for row in known])
    asked = [row for row in range(len(crops.images)) if row not in known]
    blocks = model.encode([crops.images[row] for row in asked], link)
    camera = f"cam-{settings['model']}"
    with ChannelClient(services.channel) as control:
        control.change(channel_pb2.LinkSettings(**settings), camera)  # type: ignore[arg-type]
    with airreid.AccessPoint(services.access_point, uplink=services.channel) as ap:
        answers = ap.query(blocks, camera=camera, first_block=70, top_k=12)
    radio = airreid.channel(**settings, link=camera)  # type: ignore[arg-type]
    received, report = radio.transmit(blocks, first_block=70)
    results = gallery.search(model.decode(received, report), top_k=12)
    assert any(results)
    for answer, hits, snr_db in zip(answers, results, report.snr_db, strict=True):
        assert answer.snr_db == pytest.approx(snr_db, abs=1e-9)
        assert answer.outage == (not hits)
        scores = {hit.subject: hit.score for hit in hits}
        assert len(answer.hits) == len(hits)
        for theirs, ours in zip(answer.hits, hits, strict=True):
            assert theirs.subject == ours.subject or abs(scores[theirs.subject] - ours.score) < TIE
            assert theirs.score == pytest.approx(ours.score, abs=1e-4)


def test_the_channel_says_that_it_serves_blocks(services: Services) -> None:
    with grpc.insecure_channel(services.channel) as wire:
        request = health_pb2.HealthCheckRequest(service="airreid.v1.ChannelService")
        answer = health_pb2_grpc.HealthStub(wire).Check(request, timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("model", ["awgn", "rayleigh", "rician", "impulsive", "erasure"])
def test_a_remote_channel_is_the_local_one(
    services: Services, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the blocks take several requests."""
    monkeypatch.setattr(remote_channel, "_SYMBOLS_AT_ONCE", 300)
    sent = np.sign(np.random.default_rng(1).standard_normal((11, 65))).astype(np.float32)
    fields = {"csi": False} if model in ("rayleigh", "rician") else {}
    with airreid.RemoteChannel(services.channel, link="cam-9") as remote:
        distant, their_report = remote.transmit(sent, 40, model=model, seed=3, snr_db=2, **fields)
        elsewhere, _ = remote.transmit(sent, 40, link="other", model=model, seed=3, snr_db=2)
    here, report = airreid.channel(model, snr_db=2, seed=3, link="cam-9", **fields).transmit(
        sent, 40
    )
    np.testing.assert_array_equal(distant, here)
    np.testing.assert_array_equal(their_report.gain, report.gain)
    np.testing.assert_allclose(their_report.snr_db, report.snr_db)
    assert (their_report.model, their_report.first_block) == (model, 40)
    assert not (elsewhere == distant).all()


def test_a_remote_channel_takes_blocks_and_measures_accuracy(
    services: Services, bundle: Bundle, crops: airreid.Crops, features: np.ndarray
) -> None:
    model = airreid.Model(bundle, "jscc-fc-256")
    gallery = airreid.Gallery(model)
    gallery.add(features, crops.subjects, crops.cameras)
    queries = (features, crops.subjects, crops.cameras)
    with airreid.RemoteChannel(services.channel, link="offline") as remote:
        received, report = remote.transmit(model.encode(features[:3]), snr_db=0)
        assert model.decode(received, report).embeddings.shape[0] == 3
        distant = airreid.evaluate(gallery, *queries, remote, seeds=2)
        digital = airreid.Model(bundle, "digital-256")
        with pytest.raises(airreid.InputError, match="bits and have no symbols"):
            remote.transmit(digital.encode(features[:1], "ideal"))
        with pytest.raises(airreid.InputError, match="link snr_db"):
            remote.transmit(np.ones((1, 4)), snr_db=1e3)
        with pytest.raises(airreid.InputError, match="link rain"):
            remote.transmit(np.ones((1, 4)), rain=1)
    assert distant == airreid.evaluate(gallery, *queries, airreid.channel(snr_db=10), seeds=2)


def test_an_access_point_refuses_images_and_queries_one_by_one(
    services: Services, crops: airreid.Crops, known: list[int], features: np.ndarray
) -> None:
    grey = np.full((64, 32, 3), 128, np.uint8)
    with airreid.AccessPoint(services.access_point) as ap:
        results = ap.enrol([crops.images[0], grey], ["zoe", "not a name"], "door")
        assert [result.ok for result in results] == [True, False]
        assert "not a name" in results[1].message
        assert ap.subjects("zoe") == {"zoe": 1}
        [answer] = ap.search(crops.images[0], top_k=2)
        assert answer.best is not None
        assert answer.best.score == pytest.approx(1.0, abs=1e-4)
        assert ap.delete("zoe") == 1
        with pytest.raises(airreid.LinkError, match="not_found"):
            ap.delete("zoe")
        with pytest.raises(airreid.InputError, match="2 subjects and 1 cameras for 1 images"):
            ap.enrol(grey, ["a", "b"])
        blocks = airreid.Model(scheme_id="jscc-fc-256").encode(features[:1])
        stranger = airreid.Blocks(blocks.payloads, "jscc-fc-9", blocks.bundle_id, "analog", 256)
        [refused] = ap.query(stranger)
        assert refused.best is None
        assert "jscc-fc-9" in refused.message
        assert ap.query(blocks[:0]) == []
    with pytest.raises(airreid.LinkError, match="no answer within"):
        airreid.AccessPoint(services.access_point, uplink="127.0.0.1:1", connect_seconds=0.2)


def test_a_remote_channel_refuses_what_the_local_one_refuses(services: Services) -> None:
    """Before anything is sent, and in the same words."""
    sent = np.ones((1, 4), np.float32)
    here = airreid.channel(link="cam-1")
    calls: list[dict[str, object]] = [
        {"snr_range_db": [0]},
        {"parameters": 3},
        {"first_block": 1.5},
        {"link": 3},
        {"link": "x" * 129},
        {"link": "\ud800"},
        {"snr_trace": ...},
        {"foo": 1},
        {"model": None},
        {"seed": 1.5},
        {"seed": -1},
        {"csi": "perhaps", "model": "rayleigh"},
        {"snr_db": 1, "snr_range_db": [0, 1]},
    ]
    with airreid.RemoteChannel(services.channel) as remote:
        for call in calls:
            refusals = []
            for radio in (here, remote):
                with pytest.raises(airreid.InputError) as refused:
                    radio.transmit(sent, **call)  # type: ignore[arg-type]
                refusals.append(str(refused.value))
            assert refusals[0] == refusals[1]
        with pytest.raises(airreid.InputError, match="bandwidth 65537"):
            remote.transmit(np.ones((1, 65537)))
        for fields in ({"model": "rayleigh"}, {}):
            ours = here.transmit(sent[:0], 7, **fields)[1]
            theirs = remote.transmit(sent[:0], 7, **fields)[1]
            assert (theirs.model, theirs.first_block) == (ours.model, ours.first_block)
            assert ours.first_block == 7
        changes: dict[str, object] = {"model": "rician", "k_factor_db": 3, "snr_range_db": [0, 5]}
        np.testing.assert_array_equal(
            remote.transmit(sent, **changes)[0], here.transmit(sent, **changes)[0]
        )
    for blocks in (sent, sent[:0]):
        with pytest.raises(airreid.LinkError, match="connection is closed"):
            remote.transmit(blocks)


def test_no_connection_is_told_in_the_words_of_python() -> None:
    for connect in (airreid.RemoteChannel, airreid.AccessPoint):
        with pytest.raises(airreid.LinkError, match="give another target") as refused:
            connect("127.0.0.1:1", connect_seconds=0.1)
        assert "--" not in str(refused.value)
        with pytest.raises(airreid.InputError, match=r"plain text; give tls_ca$"):
            connect("192.0.2.1:1", token="a" * 43, connect_seconds=0.1)
