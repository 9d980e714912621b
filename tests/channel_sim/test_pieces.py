"""Pieces of a nested block as the channel treats them."""

from __future__ import annotations

import numpy as np
import pytest

from airreid.channels.settings import LinkSettings
from airreid.channels.traces import make_trace
from airreid.nested.pieces import pieces_of
from airreid.noise import NoiseStream
from airreid.offline import transmit_pieces
from airreid.payload import Analog, Coded, put
from airreid.v1 import common_pb2, uplink_pb2
from channel_sim.links import Links

PIECE = 8
BLOCK = Analog(np.ones(32, np.float32), piece=PIECE)


def sent(links: Links, first: int, uses: int, sequence: int = 4) -> uplink_pb2.QueryRequest:
    message = uplink_pb2.QueryRequest(id=common_pb2.BlockId(edge_id="cam", sequence=sequence))
    put(pieces_of(BLOCK, first, uses), message)
    links.transmit(message)
    return message


def symbols(message: uplink_pb2.QueryRequest) -> np.ndarray:
    return np.frombuffer(message.analog.symbols, "<f4")


def test_a_piece_meets_the_noise_of_the_offline_replay() -> None:
    links = Links(LinkSettings(snr_db=2.0, seed=7))
    for first, uses in ((0, 16), (2, 8), (3, 32), (1, 8)):
        message = sent(links, first, uses)
        expected = transmit_pieces(pieces_of(BLOCK, first, uses), 2.0, NoiseStream(7, "cam"), 4)
        np.testing.assert_array_equal(symbols(message), expected.symbols)
        assert message.channel.snr_db == 2.0


def test_coded_pieces_meet_the_noise_of_the_offline_replay() -> None:
    whole = Coded(BLOCK.symbols, 2, piece=PIECE)
    links = Links(LinkSettings(snr_db=2.0, seed=7))
    for first, uses in ((0, 16), (2, 8), (3, 32), (1, 8)):
        message = uplink_pb2.QueryRequest(id=common_pb2.BlockId(edge_id="cam", sequence=4))
        put(pieces_of(whole, first, uses), message)
        links.transmit(message)
        arrived = np.frombuffer(message.coded.symbols, "<f4")
        np.testing.assert_array_equal(arrived, symbols(sent(links, first, uses)))
        expected = transmit_pieces(pieces_of(whole, first, uses), 2.0, NoiseStream(7, "cam"), 4)
        np.testing.assert_array_equal(arrived, expected.symbols)
        assert (message.coded.size_index, message.coded.first_piece) == (2, first)


@pytest.mark.parametrize(
    "settings",
    [
        LinkSettings(model="rayleigh", snr_db=5.0),
        LinkSettings(model="rayleigh", snr_db=5.0, csi=False),
        LinkSettings(model="erasure", snr_db=5.0, erasure_probability=0.3),
        LinkSettings(model="impulsive", snr_db=5.0),
        LinkSettings(snr_range_db=(-5.0, 5.0)),
    ],
)
def test_a_block_has_the_same_radio_whatever_messages_it_comes_in(settings: LinkSettings) -> None:
    whole = sent(Links(settings), 0, 32)
    parts = [sent(Links(settings), first, 8) for first in range(4)]
    np.testing.assert_array_equal(np.concatenate([symbols(part) for part in parts]), symbols(whole))
    assert {part.channel.snr_db for part in parts} == {whole.channel.snr_db}
    other = sent(Links(settings), 0, 32, sequence=5)
    assert not np.array_equal(symbols(other), symbols(whole))


def test_a_trace_gives_the_snr_of_the_block() -> None:
    trace = make_trace("t", (0, 5), (3.0, -3.0))
    links = Links(LinkSettings(snr_trace=trace))
    assert sent(links, 3, 8, sequence=4).channel.snr_db == 3.0
    assert sent(links, 0, 8, sequence=5).channel.snr_db == -3.0


@pytest.mark.parametrize(("piece", "first"), [(5, 0), (64, 0), (8, 1 << 12), (8, (1 << 12) - 3)])
def test_what_is_no_piece_passes_untouched(piece: int, first: int) -> None:
    links = Links(LinkSettings(snr_db=2.0))
    message = uplink_pb2.QueryRequest(id=common_pb2.BlockId(edge_id="cam", sequence=4))
    put(Analog(BLOCK.symbols, piece=piece, first_piece=first), message)
    coded = uplink_pb2.QueryRequest(id=message.id)
    put(Coded(BLOCK.symbols, 0, piece=piece, first_piece=first), coded)
    before = message.analog.symbols
    links.transmit(message)
    links.transmit(coded)
    assert message.analog.symbols == coded.coded.symbols == before
    assert links.stats.of("cam").unusable == 2
