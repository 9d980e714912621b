"""Blocks in pieces while roles are killed, wires cut, and messages doubled and put out of order."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airreid.bundle import default_bundle_path, load_bundle
from airreid.channels.settings import LinkSettings
from airreid.client import GalleryClient, ok
from airreid.digital.piece_replay import pack_pieces_each
from airreid.digital.scheme import DigitalScheme
from airreid.nested.pieces import pieces_of
from airreid.noise import NoiseStream
from airreid.offline import transmit_pieces
from airreid.payload import HeardCoded
from airreid.retrieval import cosine
from airreid.scheme_kinds import open_scheme
from airreid.v1 import gallery_pb2
from edge.encoder import Encoder
from edge.settings import CameraSettings
from simulation.processes import Role

from .support import picture, until
from .test_processes import Place, keep_killing
from .unruly import CutWire, UnrulyRelay

PEOPLE = 7
"""People of the load's pictures."""
FAULTS, SNR_DB = 0.05, -4.0
NESTED, DIGITAL = "jscc-nested-256", "digital-256-r1"
VICTIMS = ("edge", "wire to the channel", "channel", "wire to the access point", "ap")


class PiecePlace(Place):
    """Roles of a place, with a scheme in pieces through much noise, and wires that can be cut.

    edge -> wire -> relay that doubles and swaps -> channel -> wire -> access point
    """

    def __init__(self, folder: Path, stack: ExitStack, scheme_id: str, most_uses: int) -> None:
        super().__init__(folder, stack)
        self.scheme_id, self.most_uses = scheme_id, most_uses
        self.relay = stack.enter_context(closing(UnrulyRelay(self.channel_port, FAULTS, seed=1)))
        self.wires = {
            "wire to the channel": stack.enter_context(closing(CutWire(self.relay.port))),
            "wire to the access point": stack.enter_context(closing(CutWire(self.ap_port))),
        }

    def start(self, name: str, *extra: str) -> Role:
        if name in self.wires:
            return self.roles["channel"]
        to, upstream = (f"127.0.0.1:{wire.port}" for wire in self.wires.values())
        options = {
            "ap": ("--most-uses", str(self.most_uses)),
            "edge": ("--scheme", self.scheme_id, "--bandwidth", "auto", "--to", to),
            "channel": ("--snr", str(SNR_DB), "--upstream", upstream),
        }
        return super().start(name, *options.get(name, ()), *extra)

    def kill(self, name: str) -> None:
        if name in self.wires:
            until(lambda: self.wires[name].connected)
            self.wires[name].cut()
        else:
            super().kill(name)


class DigitalReplay:
    """Digital blocks of the load's pictures, heard again without any process."""

    def __init__(self) -> None:
        bundle = load_bundle(default_bundle_path())
        scheme = open_scheme(bundle, bundle.scheme(DIGITAL), 1)
        assert isinstance(scheme, DigitalScheme)
        images = [Image.open(io.BytesIO(picture(number))) for number in range(PEOPLE)]
        encoder = Encoder(bundle, 1)
        features = np.concatenate([encoder.features([image], DIGITAL) for image in images])
        self.scheme, self.gallery = scheme, scheme.gallery(features)
        self.blocks = pack_pieces_each(scheme, features)
        self.noise = NoiseStream(LinkSettings().seed, CameraSettings().edge_id)

    def named(self, person: int, sequence: int, uses: int) -> str:
        """Returns whom the first pieces of a block name."""
        block = self.blocks[person]
        heard = HeardCoded(block.size, block.piece)
        while heard.uses < uses:
            sent = pieces_of(block, heard.next_piece, block.piece)
            heard.add(transmit_pieces(sent, SNR_DB, self.noise, sequence), SNR_DB)
        received = self.scheme.unpack([heard], [SNR_DB])
        return (
            "nobody"
            if received.lost[0]
            else f"p{cosine(received.embeddings, self.gallery).argmax()}"
        )


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme_id", "most_uses", "rounds"), [(NESTED, 256, 100), (DIGITAL, 1024, 60)]
)
def test_kills_cuts_and_disorder_lose_double_and_mix_nothing(
    tmp_path: Path, stack: ExitStack, scheme_id: str, most_uses: int, rounds: int
) -> None:
    place = PiecePlace(tmp_path, stack, scheme_id, most_uses)
    place.start("ap")
    with GalleryClient(f"127.0.0.1:{place.ap_port}") as client:
        items = (
            gallery_pb2.EnrollItem(subject=f"p{number}", camera="c", image=picture(number))
            for number in range(PEOPLE)
        )
        assert all(ok(result.status) for _, result in client.enrol(items))
    place.kill("ap")
    keep_killing(place, rounds, lambda number: VICTIMS[number % len(VICTIMS)])
    assert all(wire.cuts for wire in place.wires.values())
    assert len(place.relay.did) == 4  # blocks and answers were doubled, and overtaken
    rows = place.log()
    assert {row["uses"] for row in rows} <= set(range(32, most_uses + 1, 32))
    assert len({row["uses"] for row in rows}) > 1
    right, replay = [], DigitalReplay() if scheme_id == DIGITAL else None
    for row in rows:
        identities = row["identities"]
        assert isinstance(identities, list)
        if row["source"] == "watch":
            person = int(str(row["name"]).partition("__")[2].removesuffix(".png")) % PEOPLE
            named = identities[0]["identity"]
            right.append(named == f"p{person}")
            if replay is not None and not right[-1]:  # a wrong message has passed its CRC
                assert named == replay.named(person, int(row["sequence"]), int(row["uses"]))
    # a digital message is that of one picture; noise alone takes a few nested ones in a hundred
    assert sum(right) > (0.99 if scheme_id == DIGITAL else 0.9) * len(right)
    cuts = {name: wire.cuts for name, wire in place.wires.items()}
    counted = f"{cuts}, {dict(place.relay.did)}, right {sum(right)} of {len(right)}"
    logging.getLogger(__name__).info(counted)
