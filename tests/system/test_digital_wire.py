"""Digital schemes between processes: what arrives, what is lost, and that it is known."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from airreid.bundle import Bundle
from airreid.client import ChannelClient
from airreid.crop_folder import read_folder
from airreid.digital.scheme import DigitalScheme
from airreid.noise import NoiseStream
from airreid.offline import replay, same_ranking
from airreid.payload import Analog, Coded, Ideal, Link
from airreid.scheme_kinds import open_scheme
from airreid.uplink_client import Uplink
from airreid.v1 import common_pb2, uplink_pb2
from edge.blocks import BlockMaker
from edge.encoder import Encoder

from .conftest import System
from .test_cli import airreid

SCHEME = "digital-256"


@pytest.fixture(scope="session")
def encoder(bundle: Bundle) -> Encoder:
    return Encoder(bundle, threads=1)


@pytest.fixture(scope="session")
def digital(encoder: Encoder) -> DigitalScheme:
    scheme = encoder.scheme(SCHEME)
    assert isinstance(scheme, DigitalScheme)
    return scheme


@pytest.fixture
def split(people: Path, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features of the enrolled pictures and of the queries."""
    crops = read_folder(people)
    at_gallery = [i for i, crop in enumerate(crops) if crop.camera == "cam-0"]
    at_queries = [i for i, crop in enumerate(crops) if crop.camera == "cam-1"]
    return features[at_gallery], features[at_queries]


def ask(system: System, blocks: list[uplink_pb2.QueryRequest]) -> list[uplink_pb2.QueryResponse]:
    with Uplink(system.channel_target) as uplink:
        answers = [answer.response for answer in uplink.query(iter(blocks))]
    return sorted(answers, key=lambda answer: answer.id.sequence)  # they come as they are ready


@pytest.mark.parametrize("link", ["coded", "ideal"])
@pytest.mark.parametrize("snr_db", [20.0, 1.5, -12.0])
def test_offline_replay_gives_the_answers_of_the_wire(
    system: System,
    encoder: Encoder,
    split: tuple[np.ndarray, np.ndarray],
    link: Link,
    snr_db: float,
) -> None:
    gallery, queries = split
    name = f"digital-{link}-{snr_db:g}"
    with ChannelClient(system.channel_target) as control:
        control.set_link(snr_db, seed=6, link=name)
    maker = BlockMaker(name, encoder.bundle.bundle_id, next_sequence=300)
    blocks = [
        maker.block(encoder.payloads(feature[None], SCHEME, link)[0], SCHEME, 3, len(gallery))
        for feature in queries
    ]
    answers = ask(system, blocks)
    opened = open_scheme(encoder.bundle, encoder.bundle.scheme(SCHEME), 1)
    expected = replay(opened, link, gallery, queries, snr_db, NoiseStream(6, name), 300)
    lost = expected.order[:, 0] < 0
    if snr_db == 20.0:
        assert not lost.any()
    elif snr_db == -12.0:
        assert lost.mean() > 0.9  # pure noise passes a CRC of 11 bits now and then
    for answer, gone in zip(answers, lost, strict=True):
        assert answer.link == link
        assert answer.outage == gone
        assert answer.channel.snr_db == snr_db
        if gone:
            assert answer.status.code == common_pb2.CODE_OUTAGE
            assert f"{SCHEME}: block lost at {snr_db:+.3g} dB" in answer.status.message
            assert not answer.identities
            assert not answer.entry_ids
        else:
            assert answer.status.code == common_pb2.CODE_OK
            assert len(answer.identities) == 3
    over_wire = np.array(
        [[entry - 1 for entry in a.entry_ids] or [-1] * len(gallery) for a in answers]
    )
    assert same_ranking(over_wire, expected.order, expected.scores, tie=1e-5).all()


def test_both_links_carry_the_same_latents(
    digital: DigitalScheme, split: tuple[np.ndarray, np.ndarray]
) -> None:
    _, queries = split
    for link in ("coded", "ideal"):
        received = digital.unpack(digital.pack(queries, link), [40.0] * len(queries))
        assert not received.lost.any()
        np.testing.assert_array_equal(received.embeddings, digital.gallery(queries))


def test_messages_are_no_longer_than_their_ideal_length(
    digital: DigitalScheme, features: np.ndarray
) -> None:
    prior = digital.tables.prior
    for latent, sent in zip(digital.latents(features), digital.messages(features), strict=True):
        if not sent.shortened:
            assert len(sent.bits) <= prior.code_length(latent) + 2
        assert len(sent.bits) <= digital.longest


def test_a_latent_that_is_too_long_is_shortened_and_still_legal(digital: DigitalScheme) -> None:
    wild = np.full((1, 2048), 3e4, np.float32)
    [payload] = digital.pack(wild, "coded")
    received = digital.unpack([payload], [40.0])
    assert not received.lost.any()
    [sent] = digital.messages(wild)
    assert sent.shortened > 0
    [ideal] = digital.pack(np.zeros((1, 2048), np.float32), "ideal")
    assert not digital.unpack([ideal], [40.0]).lost.any()


def test_a_block_of_another_table_is_an_outage(
    encoder: Encoder, digital: DigitalScheme, features: np.ndarray
) -> None:
    """Same codes, another prior: the CRC is seeded with the table's digest."""
    other = encoder.scheme("digital-256-r1")
    assert isinstance(other, DigitalScheme)
    prior = other.tables.prior
    from airreid.digital.link import CodedLink

    code = digital.tables.codes[-1]
    foreign = CodedLink(code, prior.digest[:4])
    payload = np.random.default_rng(0).integers(0, 2, (40, code.payload_bits)).astype(np.uint8)
    blocks = [Coded(row, len(digital.tables.codes) - 1) for row in foreign.send(payload)]
    lost = digital.unpack(blocks, [40.0] * 40).lost
    assert lost.all()  # other seeds never agree on one message


def test_bad_payloads_are_answered_beside_good_ones(
    system: System, encoder: Encoder, digital: DigitalScheme, features: np.ndarray
) -> None:
    [coded] = digital.pack(features[:1], "coded")
    [ideal] = digital.pack(features[:1], "ideal")
    assert isinstance(coded, Coded)
    assert isinstance(ideal, Ideal)
    maker = BlockMaker("bad-digital", encoder.bundle.bundle_id)
    leftover = np.concatenate([ideal.bits, np.ones(9, np.uint8)])
    blocks = [
        maker.block(ideal, SCHEME),
        maker.block(Ideal(leftover, 256), SCHEME),
        maker.block(Ideal(ideal.bits, 9999), SCHEME),
        maker.block(Coded(coded.symbols, 99), SCHEME),
        maker.block(Coded(coded.symbols[:7], 0), SCHEME),
        maker.block(Analog(coded.symbols), SCHEME),
        maker.block(coded, "jscc-ae-256"),
        maker.block(coded, SCHEME),
    ]
    with ChannelClient(system.channel_target) as control:
        control.set_link(20.0, seed=1, link="bad-digital")
    answers = ask(system, blocks)
    assert [answer.status.code for answer in answers] == [
        common_pb2.CODE_OK,
        *[common_pb2.CODE_INVALID] * 6,
        common_pb2.CODE_OK,
    ]
    messages = [answer.status.message for answer in answers]
    assert "bits are left over behind the last symbol" in messages[1]
    assert "claims 9999 channel uses" in messages[2]
    assert "no such payload" in messages[3]
    assert "has no analog link; it has: coded, ideal" in messages[5]
    assert "has no coded link; it has: analog" in messages[6]


def test_edge_send_says_what_crossed_the_air(system: System, people: Path) -> None:
    with ChannelClient(system.channel_target) as control:
        control.set_link(20.0, seed=1, link="clear")
        control.set_link(-20.0, seed=1, link="storm")
    image = sorted(people.rglob("cam-1/*.png"))[0]
    send = ("edge", "send", image, "--to", system.channel_target, "--scheme", SCHEME)
    for link, side_bits in (("coded", 2), ("ideal", None)):
        good = airreid(*send, "--link", link, "--edge-id", "clear", "--json")
        assert good.returncode == 0, good.stderr
        [row] = json.loads(good.stdout)
        assert row["link"] == link
        assert row["uses"] == 256
        assert row["payload_bits"] > 0
        assert row["crc_bits"] == (11 if link == "coded" else 0)
        assert row["side_bits"] == side_bits or (side_bits is None and row["side_bits"] >= 7)
        assert row["identities"]
        lost = airreid(*send, "--link", link, "--edge-id", "storm", "--json")
        assert lost.returncode == 0, lost.stderr
        [row] = json.loads(lost.stdout)
        assert row["outage"] is True
        assert row["error"] is None
        assert row["identities"] == []
    wrong = airreid(*send[:-1], "jscc-ae-256", "--link", "coded")
    assert wrong.returncode == 2
    assert "jscc-ae-256 has no coded link; it has: analog" in wrong.stderr


def test_simulate_draws_the_cliff_beside_jscc(people: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    for camera, folder in (("cam-0", "gallery"), ("cam-1", "queries")):
        for person in sorted(people.iterdir()):
            shutil.copytree(person / camera, tmp_path / folder / person.name / camera)
    result = airreid(
        *("simulate", "--gallery", tmp_path / "gallery", "--queries", tmp_path / "queries"),
        *("--scheme", "jscc-ae-256", "--scheme", SCHEME, "--link", "ideal", "--link", "coded"),
        *("--snr", -6, "--snr", 12, "--report", tmp_path, "--json", out),
        seconds=300,
    )
    assert result.returncode == 0, result.stderr
    rows = json.loads(out.read_text())["results"]
    by = {(row["scheme"], row["link"], row["snr_db"]): row for row in rows}
    assert len(by) == 6
    assert all(row["replay_identical"] == row["queries"] for row in rows)
    analog, ideal, coded = (("jscc-ae-256", "analog"), (SCHEME, "ideal"), (SCHEME, "coded"))
    for pair in (ideal, coded):
        assert by[*pair, -6.0]["outage_rate"] > 0.9  # C = 0.16 bits a use: 41 bits fit
        assert by[*pair, -6.0]["top1"] < 0.1
        assert by[*pair, 12.0]["outage_rate"] == 0.0
        row = by[*pair, 12.0]
        assert 60 < row["payload_bits"] < 256
        capacity = 0.5 * math.log2(1 + 10**1.2)
        assert row["side_uses"] == pytest.approx(row["side_bits"] / capacity, abs=0.01)
    assert by[*analog, -6.0]["top1"] > 0.5
    assert by[*analog, 12.0]["payload_bits"] == 0
    assert "bits of side information" in result.stdout
