"""The seams between processes: offline = over the wire, and bad input ends nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from airreid import wire
from airreid.bundle import Bundle
from airreid.client import ChannelClient, GalleryClient
from airreid.crop_folder import read_folder
from airreid.errors import LinkError
from airreid.images import load
from airreid.noise import NoiseStream
from airreid.offline import replay, same_ranking
from airreid.payload import Analog
from airreid.scheme_kinds import open_scheme
from airreid.uplink_client import Uplink
from airreid.v1 import common_pb2, edge_pb2, edge_pb2_grpc, uplink_pb2
from edge.blocks import BlockMaker
from edge.encoder import Encoder
from simulation.processes import Role

from .conftest import ANY, System, channel, target


@pytest.fixture(scope="session")
def encoder(bundle: Bundle) -> Encoder:
    return Encoder(bundle, threads=1)


@pytest.mark.parametrize("scheme", ["jscc-ae-256", "jscc-fc-256"])
@pytest.mark.parametrize("snr_db", [20.0, -6.0])
def test_offline_replay_gives_the_ranking_of_the_wire(
    system: System, encoder: Encoder, people: Path, features: np.ndarray, scheme: str, snr_db: float
) -> None:
    crops = read_folder(people)
    at_gallery = [i for i, crop in enumerate(crops) if crop.camera == "cam-0"]
    at_queries = [i for i, crop in enumerate(crops) if crop.camera == "cam-1"]
    images = [load(crops[i].path) for i in at_queries]
    queries = np.concatenate([encoder.features([image]) for image in images])
    np.testing.assert_array_equal(queries, features[at_queries])
    link = f"replay-{scheme}-{snr_db:g}"
    with ChannelClient(system.channel_target) as control:
        control.set_link(snr_db, seed=11, link=link)
    maker = BlockMaker(link, encoder.bundle.bundle_id, next_sequence=500)
    blocks = (
        maker.block(encoder.payloads(feature[None], scheme)[0], scheme, 3, len(at_gallery))
        for feature in queries
    )
    with Uplink(system.channel_target) as uplink:
        answers = [answer.response for answer in uplink.query(blocks)]
    first = min(answers[0].entry_ids)
    over_wire = np.array([[entry - 1 for entry in a.entry_ids] for a in answers])
    assert first >= 1
    opened = open_scheme(encoder.bundle, encoder.bundle.scheme(scheme), 1)
    expected = replay(
        opened, "analog", features[at_gallery], queries, snr_db, NoiseStream(11, link), 500
    )
    assert same_ranking(over_wire, expected.order, expected.scores, tie=1e-5).all()
    best = np.take_along_axis(expected.scores, expected.order, 1)
    np.testing.assert_allclose([a.entry_scores for a in answers], best, atol=1e-4)
    for answer, crop in zip(answers, (crops[i] for i in at_queries), strict=True):
        assert answer.link == "analog"
        assert answer.channel.snr_db == snr_db
        assert len(answer.identities) == 3, crop


def test_straight_at_the_access_point_is_a_perfect_wire(
    system: System, encoder: Encoder, people: Path, features: np.ndarray
) -> None:
    maker = BlockMaker("direct", encoder.bundle.bundle_id)
    rows = [i for i, crop in enumerate(read_folder(people)) if crop.camera == "cam-0"]
    with Uplink(system.ap_target) as uplink:
        blocks = maker.blocks(encoder.payloads(features[rows], "jscc-ae-512"), "jscc-ae-512", 1)
        answers = [answer.response for answer in uplink.query(blocks)]
    for answer, row in zip(answers, rows, strict=True):
        assert answer.identities[0].subject == f"person-{row // 6:04d}"
        assert answer.identities[0].score == pytest.approx(1.0, abs=1e-4)
        assert not answer.HasField("channel")


def test_bad_blocks_do_not_end_the_stream(
    system: System, encoder: Encoder, features: np.ndarray
) -> None:
    maker = BlockMaker("cam-9", encoder.bundle.bundle_id)
    [good] = encoder.payloads(features[:1], "jscc-ae-256")
    assert isinstance(good, Analog)

    def blocks() -> Iterator[uplink_pb2.QueryRequest]:
        yield maker.block(good, "jscc-ae-256")
        yield maker.block(Analog(good.symbols[:100]), "jscc-ae-256")
        yield maker.block(Analog(good.symbols * np.float32(np.nan)), "jscc-ae-256")
        yield maker.block(good, "jscc-ae-7")
        foreign = maker.block(good, "jscc-ae-256")
        foreign.bundle_id = "0123456789abcdef"
        yield foreign
        odd = maker.block(good, "jscc-ae-256")
        odd.analog.symbols = b"odd"
        yield odd
        yield maker.block(good, "jscc-ae-256")

    with Uplink(system.channel_target) as uplink:
        answers = [answer.response for answer in uplink.query(blocks())]
    answers.sort(key=lambda answer: answer.id.sequence)  # a bad one is answered at once
    assert [answer.id.sequence for answer in answers] == list(range(7))
    assert [answer.status.code for answer in answers] == [
        common_pb2.CODE_OK,
        common_pb2.CODE_INVALID,
        common_pb2.CODE_INVALID,
        common_pb2.CODE_UNKNOWN_SCHEME,
        common_pb2.CODE_WRONG_BUNDLE,
        common_pb2.CODE_INVALID,
        common_pb2.CODE_OK,
    ]
    assert all(a.status.message for a in answers if a.status.code != common_pb2.CODE_OK)


def test_several_edges_at_once(system: System, encoder: Encoder, features: np.ndarray) -> None:
    from concurrent.futures import ThreadPoolExecutor

    symbols = encoder.payloads(features, "jscc-fc-256")

    def stream_of(edge: int) -> list[str]:
        maker = BlockMaker(f"edge-{edge}", encoder.bundle.bundle_id)
        with Uplink(system.channel_target) as uplink:
            blocks = maker.blocks(symbols, "jscc-fc-256", 1)
            return [a.response.identities[0].subject for a in uplink.query(blocks, window=16)]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(stream_of, range(8)))
    assert all(len(result) == len(features) for result in results)


@pytest.mark.parametrize("role", ["ap", "channel"])
def test_health_and_reflection(system: System, role: str) -> None:
    address = system.ap_target if role == "ap" else system.channel_target
    with grpc.insecure_channel(address) as connection:
        stub = health_pb2_grpc.HealthStub(connection)
        for name in ("", "airreid.v1.UplinkService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        reflect = reflection_pb2_grpc.ServerReflectionStub(connection)
        listed = next(iter(reflect.ServerReflectionInfo(iter([ask]))))
        names = {service.name for service in listed.list_services_response.service}
    assert {"airreid.v1.UplinkService", "grpc.health.v1.Health"} <= names


def test_channel_whose_access_point_is_down_says_so(encoder: Encoder, features: np.ndarray) -> None:
    maker = BlockMaker("cam", encoder.bundle.bundle_id)
    blocks = list(maker.blocks(encoder.payloads(features[:2], "jscc-ae-64"), "jscc-ae-64"))
    with (
        channel("127.0.0.1:1") as link,
        Uplink(target(link)) as uplink,
        pytest.raises(LinkError, match=r"access point 127\.0\.0\.1:1 does not answer"),
    ):
        list(uplink.query(blocks))


def test_edge_service_takes_crops_and_answers(system: System, people: Path) -> None:
    files = sorted(people.rglob("cam-0/*.png"))[:4]
    arguments = ["edge", "serve", "--listen", ANY, "--to", system.ap_target]
    with (
        Role("edge", arguments) as role,
        grpc.insecure_channel(f"127.0.0.1:{role.ready['grpc_port']}") as connection,
    ):
        stub = edge_pb2_grpc.EdgeServiceStub(connection)
        requests = [
            edge_pb2.IdentifyRequest(name=file.parts[-3], image=file.read_bytes(), top_k=1)
            for file in files
        ]
        requests.insert(1, edge_pb2.IdentifyRequest(name="torn", image=b"\xff\xd8\xff"))
        answers = {answer.name: answer for answer in stub.Identify(iter(requests))}
        state = health_pb2_grpc.HealthStub(connection).Check(
            health_pb2.HealthCheckRequest(service="airreid.v1.EdgeService")
        )
    assert state.status == health_pb2.HealthCheckResponse.SERVING
    torn = answers.pop("torn")
    assert torn.status.code == common_pb2.CODE_INVALID
    assert torn.status.message.startswith("torn: ")
    for name, answer in answers.items():
        assert answer.answer.identities[0].subject == name


def test_features_enrol_as_images_do(system: System, features: np.ndarray, bundle: Bundle) -> None:
    from airreid.v1 import gallery_pb2

    item = gallery_pb2.EnrollItem(
        subject="by-feature",
        camera="cam-0",
        feature=gallery_pb2.Feature(
            space_id=bundle.backbone.space_id, values=wire.to_bytes(features[3])
        ),
    )
    wrong = gallery_pb2.EnrollItem(
        subject="x",
        camera="c",
        feature=gallery_pb2.Feature(space_id="nowhere", values=wire.to_bytes(features[3])),
    )
    nothing = gallery_pb2.EnrollItem(subject="x", camera="c")
    with GalleryClient(system.ap_target) as client:
        results = [result for _, result in client.enrol([wrong, item, nothing])]
        assert client.delete_subject("by-feature") == 1
        with pytest.raises(LinkError, match="not_found: no subject"):
            client.delete_subject("by-feature")
    codes = [result.status.code for result in results]
    assert codes == [common_pb2.CODE_WRONG_SPACE, common_pb2.CODE_OK, common_pb2.CODE_INVALID]
    assert "space 'nowhere'" in results[0].status.message
