"""Digital blocks in pieces, computed without processes: against exhaustive search, and whole."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from airreid.bundle import Bundle
from airreid.digital.channel_code import ChannelCode
from airreid.digital.piece_link import PieceLink
from airreid.digital.piece_replay import pack_pieces_each, receive_pieces, replay_coded_pieces
from airreid.digital.scheme import DigitalScheme
from airreid.nested.pieces import pieces_of
from airreid.nested.stopping import StoppingSettings
from airreid.noise import NoiseStream
from airreid.offline import replay_payloads, transmit_pieces
from airreid.payload import Coded, HeardCoded
from airreid.retrieval import cosine

from .test_scheme import opened

SCHEME = "digital-256-r1"


@pytest.fixture(scope="module")
def scheme(bundle: Bundle) -> DigitalScheme:
    return opened(bundle, SCHEME)


@pytest.mark.parametrize("snr_db", [-9.0, -4.0, 3.0])
def test_a_message_that_passes_is_the_likeliest_of_all(snr_db: float) -> None:
    """Exhaustive search by distance over the symbols of every message, repeated pieces too."""
    bits, bandwidth = 6, 64
    link = PieceLink(ChannelCode(payload_bits=bits, crc_bits=11, uses=64, bits_per_symbol=1), 32)
    every = np.array(list(product((0, 1), repeat=bits)), np.uint8)
    symbols = np.stack([link.send(row) for row in every])
    rng, stream = np.random.default_rng(1), NoiseStream(3, "exhaustive")
    same = passed = again = 0
    for block in range(60):
        sent = int(rng.integers(len(every)))
        whole, heard = Coded(symbols[sent], 0, piece=32), HeardCoded(0, 32)
        received: list[np.ndarray] = []
        wanted = 32
        while wanted:
            part = transmit_pieces(
                pieces_of(whole, heard.next_piece, wanted), snr_db, stream, block
            )
            heard.add(part, snr_db)
            received.append(part.symbols)
            decoded = link.receive([heard])
            if decoded.passed[0]:
                break
            wanted = link.next_uses(heard, StoppingSettings(most_uses=10 * bandwidth), snr_db)
        if not wanted:
            continue
        heard_symbols = np.concatenate(received)
        places = np.arange(len(heard_symbols)) % symbols.shape[1]
        distance = np.square(symbols[:, places] - heard_symbols).sum(axis=1)
        passed += 1
        again += len(heard_symbols) > symbols.shape[1]
        same += np.array_equal(every[distance.argmin()], decoded.payload[0])
    assert passed >= 55
    assert same >= passed - 1  # the level of a piece is estimated, and known to the search
    assert (again > 0) == (snr_db < 0)


def test_blocks_end_when_they_are_right_or_lost(
    scheme: DigitalScheme, features: np.ndarray
) -> None:
    blocks, stream = pack_pieces_each(scheme, features), NoiseStream(0, "offline")
    gallery = scheme.gallery(features)
    good = receive_pieces(scheme, StoppingSettings(), blocks, 8.0, stream, 0)
    assert not good.lost.any()
    np.testing.assert_array_equal(good.embeddings, gallery)
    assert 32 < good.uses.mean() < 128
    middling = replay_coded_pieces(scheme, StoppingSettings(), blocks, gallery, -2.0, stream, 0)
    lost = (middling.order == -1).all(axis=1)
    assert 0 < lost.mean() < 0.9
    assert (middling.uses[lost] == 256).all()
    assert (middling.uses <= 256).all()
    repeated = receive_pieces(scheme, StoppingSettings(most_uses=1024), blocks, -2.0, stream, 0)
    assert not repeated.lost.any()
    np.testing.assert_array_equal(repeated.embeddings, gallery)
    assert (repeated.uses[lost] > 256).all()
    assert (repeated.uses >= middling.uses).all()
    assert (repeated.words >= middling.words).all()


def test_as_many_pieces_at_once_say_the_same(scheme: DigitalScheme, features: np.ndarray) -> None:
    """Noise is that of the piece, whatever message it comes in."""
    rows, stream = features[:12], NoiseStream(5, "offline")
    blocks, gallery = pack_pieces_each(scheme, rows), scheme.gallery(features)
    asked = replay_coded_pieces(scheme, StoppingSettings(), blocks, gallery, 2.0, stream, 40)
    at_once = [
        pieces_of(block, 0, int(uses)) for block, uses in zip(blocks, asked.uses, strict=True)
    ]
    together = replay_payloads(scheme, at_once, gallery, 2.0, stream, 40)
    np.testing.assert_array_equal(together.order, asked.order)
    np.testing.assert_array_equal(cosine(scheme.gallery(rows), gallery), asked.scores)
