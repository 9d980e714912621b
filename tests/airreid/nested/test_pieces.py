"""Pieces on their way: their noise, their combination, and what is no piece."""

from __future__ import annotations

import numpy as np
import pytest

from airreid.errors import InputError
from airreid.nested.pieces import HeardPieces, combine_frames, pieces_of, prefixes
from airreid.noise import PIECES_MAX, NoiseStream
from airreid.offline import transmit, transmit_pieces
from airreid.payload import Analog, get, put
from airreid.signal import noise_variance
from airreid.v1 import uplink_pb2

PIECE, BANDWIDTH = 8, 32
SYMBOLS = np.random.default_rng(3).standard_normal(BANDWIDTH).astype(np.float32)
BLOCK = Analog(SYMBOLS, piece=PIECE)


def test_the_noise_of_a_piece_does_not_depend_on_its_message() -> None:
    stream = NoiseStream(5, "cam")
    [whole] = transmit([BLOCK], 3.0, stream, 9)
    assert isinstance(whole, Analog)
    for first, uses in ((0, 8), (0, 24), (1, 8), (2, 16)):
        part = transmit_pieces(pieces_of(BLOCK, first, uses), 3.0, NoiseStream(5, "cam"), 9)
        expected = whole.symbols[first * PIECE : first * PIECE + uses]
        np.testing.assert_array_equal(part.symbols, expected)
        assert part.first_piece == first
    [other] = transmit([BLOCK], 3.0, stream, 10)
    assert isinstance(other, Analog)
    assert not np.array_equal(other.symbols, whole.symbols)


def test_pieces_come_again_with_other_noise() -> None:
    again = pieces_of(BLOCK, 5, 16)
    np.testing.assert_array_equal(again.symbols, SYMBOLS[8:24])
    stream = NoiseStream(5, "cam")
    first = transmit_pieces(pieces_of(BLOCK, 1, 8), 0.0, stream, 2)
    second = transmit_pieces(pieces_of(BLOCK, 5, 8), 0.0, stream, 2)
    assert not np.allclose(first.symbols, second.symbols)


def test_pieces_that_came_once_are_what_they_were() -> None:
    heard = HeardPieces(BANDWIDTH, PIECE)
    heard.add(pieces_of(BLOCK, 0, 8), 2.0)
    heard.add(pieces_of(BLOCK, 1, 16), 2.0)
    combined = heard.combined()
    np.testing.assert_array_equal(combined.symbols, SYMBOLS[:24])
    assert combined.snr_db == pytest.approx(2.0)
    assert heard.uses == 24


def test_repetition_combines_by_maximum_ratio() -> None:
    """Noise of variances 1 and 1/3 is together of variance 1/4, and no other weights do better."""
    random = np.random.default_rng(0)
    errors = []
    for _ in range(400):
        heard = HeardPieces(PIECE, PIECE)
        for number, variance in enumerate((1.0, 1 / 3)):
            noisy = SYMBOLS[:PIECE] + np.sqrt(variance) * random.standard_normal(PIECE)
            payload = Analog(noisy.astype(np.float32), piece=PIECE, first_piece=number)
            heard.add(payload, float(-10 * np.log10(variance)))
        combined = heard.combined()
        errors.append(np.square(combined.symbols - SYMBOLS[:PIECE]).mean())
    assert noise_variance(combined.snr_db) == pytest.approx(0.25)
    assert np.mean(errors) == pytest.approx(0.25, rel=0.1)


def test_a_noisier_piece_counts_less() -> None:
    heard = HeardPieces(BANDWIDTH, PIECE)
    heard.add(pieces_of(BLOCK, 0, 8), 0.0)
    heard.add(pieces_of(BLOCK, 1, 8), -10.0)
    symbols = heard.combined(mismatch=1.0).symbols
    np.testing.assert_array_equal(symbols[:8], SYMBOLS[:8])
    np.testing.assert_allclose(symbols[8:], SYMBOLS[8:16] * (2 / 11), rtol=1e-6)


def test_frames_of_a_track_are_combined_as_pieces_that_came_again() -> None:
    heard = HeardPieces(BANDWIDTH, PIECE)
    draws, frames = np.random.default_rng(0), []
    for snr_db, uses in ((3.0, 32), (-4.0, 16)):
        symbols = np.zeros(BANDWIDTH, np.float32)
        symbols[:uses] = SYMBOLS[:uses] + draws.standard_normal(uses).astype(np.float32)
        frames.append((symbols, snr_db))
        heard.add(Analog(symbols[:uses], piece=PIECE, first_piece=heard.next_piece), snr_db)
    together, expected = combine_frames(frames, PIECE, 2.0), heard.combined(2.0)
    np.testing.assert_allclose(together.symbols, expected.symbols, rtol=1e-5)
    assert together.snr_db == pytest.approx(expected.snr_db)
    short = combine_frames([(frames[1][0], -4.0)], PIECE, 2.0)
    np.testing.assert_allclose(short.symbols, frames[1][0], rtol=1e-6)
    assert short.snr_db == pytest.approx(-4.0)


def test_another_piece_than_the_next_is_refused() -> None:
    heard = HeardPieces(BANDWIDTH, PIECE)
    heard.add(pieces_of(BLOCK, 0, 8), 0.0)
    with pytest.raises(InputError, match="piece 0 came where 1 is due"):
        heard.add(pieces_of(BLOCK, 0, 8), 0.0)
    with pytest.raises(InputError, match="pieces of 4 uses; the scheme's have 8"):
        heard.add(Analog(SYMBOLS[:4], piece=4, first_piece=1), 0.0)
    assert heard.uses == 8


def test_a_block_is_judged_by_powers_of_two_and_the_whole() -> None:
    assert prefixes(256, 32) == (32, 64, 128, 256)
    assert prefixes(96, 32) == (32, 64, 96)
    assert prefixes(32, 32) == (32,)


def test_pieces_cross_the_wire() -> None:
    for first in (6, PIECES_MAX - 2):
        request = uplink_pb2.QueryRequest(scheme_id="s")
        put(pieces_of(BLOCK, first, 16), request)
        back = get(request, BANDWIDTH)
        assert isinstance(back, Analog)
        assert (back.piece, back.first_piece) == (PIECE, first)
        np.testing.assert_array_equal(back.symbols, SYMBOLS[16:32])


@pytest.mark.parametrize(
    ("uses", "piece", "first", "why"),
    [
        (12, 8, 0, "no whole pieces of 8"),
        (40, 8, 0, "no whole pieces of 8 float32 values, 32 at most"),
        (0, 8, 0, "no whole pieces of 8"),
        (8, 8, 4096, "piece 4096; a block has 4096 at most"),
        (16, 8, 4095, "piece 4095; a block has 4096 at most"),
        (8, 8, 2**32 - 1, "piece 4294967295; a block has 4096 at most"),
    ],
)
def test_what_is_no_piece_is_refused(uses: int, piece: int, first: int, why: str) -> None:
    request = uplink_pb2.QueryRequest(scheme_id="s")
    request.analog.symbols = np.ones(uses, "<f4").tobytes()
    request.analog.piece_uses, request.analog.first_piece = piece, first
    with pytest.raises(InputError, match=why):
        get(request, BANDWIDTH)
