"""The coded link in pieces: any number of them decodes, and each makes the block better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from airreid.digital import modem
from airreid.digital.channel_code import ChannelCode
from airreid.digital.modem import GAINS, block_gain, constellation, modulate
from airreid.digital.piece_link import PieceLink, information
from airreid.errors import InputError
from airreid.nested.pieces import pieces_of
from airreid.nested.stopping import StoppingSettings
from airreid.payload import Coded, HeardCoded
from airreid.signal import capacity, noise_variance

PIECE, BANDWIDTH, BITS = 32, 256, 124
CODE = ChannelCode(payload_bits=BITS, crc_bits=11, uses=BANDWIDTH, bits_per_symbol=1)
SEED = b"tabl"


@pytest.fixture(scope="module")
def link() -> PieceLink:
    return PieceLink(CODE, PIECE, SEED)


def blocks(link: PieceLink, count: int, seed: int = 0) -> tuple[np.ndarray, list[Coded]]:
    """Payloads (count, k), and all pieces of each."""
    bits = link.code.message_bits - link.crc_bits
    payloads = np.random.default_rng(seed).integers(0, 2, (count, bits)).astype(np.uint8)
    return payloads, [Coded(link.send(row), 0, piece=PIECE) for row in payloads]


def noisy(part: Coded, snr_db: float, rng: np.random.Generator) -> Coded:
    noise = np.sqrt(noise_variance(snr_db)) * rng.standard_normal(len(part.symbols))
    return replace(part, symbols=(part.symbols + noise).astype(np.float32))


def uses_until_decoded(
    link: PieceLink, snr_db: float, count: int, settings: StoppingSettings
) -> tuple[np.ndarray, np.ndarray, int]:
    """Uses (count,) of blocks sent until they pass, which did, and how often more was asked for."""
    rng = np.random.default_rng(1)
    payloads, whole = blocks(link, count)
    heard = [HeardCoded(0, PIECE) for _ in whole]
    wanted, words = [PIECE] * count, 0
    passed = np.zeros(count, bool)
    while rows := [row for row in range(count) if wanted[row]]:
        for row in rows:
            part = pieces_of(whole[row], heard[row].next_piece, wanted[row])
            heard[row].add(noisy(part, snr_db, rng), snr_db)
        decoded = link.receive([heard[row] for row in rows])
        for row, bits, good in zip(rows, decoded.payload, decoded.passed, strict=True):
            wanted[row] = 0 if good else link.next_uses(heard[row], settings, snr_db)
            words += int(wanted[row] > 0)
            passed[row] = good and np.array_equal(bits, payloads[row])
    return np.array([block.uses for block in heard]), passed, words


def test_each_piece_has_power_one(link: PieceLink) -> None:
    for block in blocks(link, 5)[1]:
        assert len(block.symbols) == link.code.pieces * PIECE > BANDWIDTH
        power = np.square(block.symbols.reshape(-1, PIECE).astype(np.float64)).mean(axis=1)
        np.testing.assert_allclose(power, 1.0, atol=1e-6)


def test_any_beginning_decodes_without_noise(link: PieceLink) -> None:
    payloads, whole = blocks(link, 3)
    for pieces in range(1, link.code.pieces + 4):
        heard = [HeardCoded(0, PIECE) for _ in whole]
        for state, block in zip(heard, whole, strict=True):
            for first in range(pieces):
                state.add(pieces_of(block, first, PIECE), 30.0)
        decoded = link.receive(heard)
        assert decoded.passed.all() == decoded.passed.any() == (pieces >= 2)
        if pieces >= 2:
            np.testing.assert_array_equal(decoded.payload, payloads)


def test_pieces_together_are_pieces_one_by_one(link: PieceLink) -> None:
    """A cut into other messages changes nothing, nor does decoding in between."""
    rng = np.random.default_rng(4)
    block = noisy(pieces_of(blocks(link, 1)[1][0], 0, 9999), 1.0, rng)
    together, single = HeardCoded(0, PIECE), HeardCoded(0, PIECE)
    together.add(block, 1.0)
    for first in range(link.code.pieces):
        single.add(pieces_of(block, first, PIECE), 1.0)
        link.receive([single])
    np.testing.assert_array_equal(link.listen([together]), link.listen([single]))
    assert together.uses == single.uses == len(block.symbols)


def test_pieces_that_come_again_add_up(link: PieceLink) -> None:
    block = noisy(blocks(link, 1)[1][0], -3.0, np.random.default_rng(2))
    once, twice = HeardCoded(0, PIECE), HeardCoded(0, PIECE)
    once.add(block, -3.0)
    twice.add(block, -3.0)
    twice.add(replace(block, first_piece=link.code.pieces), -3.0)
    both = link.listen([twice, once])
    np.testing.assert_allclose(both[0], 2.0 * both[1], rtol=1e-12)


def test_a_foreign_table_never_passes(link: PieceLink) -> None:
    [block] = blocks(link, 1)[1]
    heard = HeardCoded(0, PIECE)
    heard.add(block, 20.0)
    assert not PieceLink(CODE, PIECE, b"else").receive([heard]).passed.any()
    assert link.receive([heard]).passed.all()


@pytest.mark.parametrize(("snr_db", "most"), [(0.0, 375), (5.0, 185), (10.0, 120), (20.0, 64)])
def test_uses_follow_the_channel(link: PieceLink, snr_db: float, most: float) -> None:
    """No more than capacity demands by a quarter to a half, and a piece."""
    uses, passed, words = uses_until_decoded(link, snr_db, 40, StoppingSettings(most_uses=1024))
    assert passed.mean() >= 0.95
    assert 0.9 * link.code.message_bits / float(capacity(snr_db)) <= uses.mean() <= most
    assert words <= 6 * len(uses)
    # of 8 wrong messages each time that decoding fails, one in 2^16 passes by chance
    assert 8 * words / 2**link.crc_bits < 1e-3 * len(uses)


def test_new_coded_bits_beat_those_sent_before(link: PieceLink) -> None:
    """The same pieces of the same power without copies: then late bits say nothing new."""
    plain = PieceLink(CODE, PIECE, SEED)
    plain.code = replace(link.code, inputs=tuple(sources[:1] for sources in link.code.inputs))
    settings = StoppingSettings(most_uses=1024)
    ours, passed, _ = uses_until_decoded(link, 0.0, 40, settings)
    theirs, _, _ = uses_until_decoded(plain, 0.0, 40, settings)
    assert passed.all()
    assert ours.mean() < 0.9 * theirs.mean()


def test_what_is_asked_for_ends_at_the_limit(link: PieceLink) -> None:
    uses, passed, _ = uses_until_decoded(link, 0.0, 12, StoppingSettings())
    assert uses.max() == BANDWIDTH
    assert not passed[uses == BANDWIDTH].all()
    uses, _, _ = uses_until_decoded(link, -10.0, 6, StoppingSettings())
    assert (uses == PIECE).all()  # all 256 uses could not carry a quarter of the message
    uses, passed, _ = uses_until_decoded(link, 5.0, 6, StoppingSettings(most_uses=128))
    assert (uses <= 128).all()
    assert not passed.all()
    uses, _, words = uses_until_decoded(link, 10.0, 6, StoppingSettings(growth=1.0))
    assert set(uses.tolist()) <= {64, 128, 256}
    assert words <= 18


def test_a_block_begins_with_what_capacity_demands(link: PieceLink) -> None:
    assert link.first_uses(-40.0) == BANDWIDTH
    assert link.first_uses(60.0) == PIECE
    assert link.first_uses(0.0) == 256
    assert link.first_uses(5.0) == 128  # 131 uses at capacity
    firsts = [link.first_uses(snr_db) for snr_db in range(-20, 40)]
    assert firsts == sorted(firsts, reverse=True)


def test_growth_is_even_over_the_lengths_of_messages() -> None:
    """Lengths just beyond a part of the mother code, and in the midst of one."""
    settings = StoppingSettings(most_uses=2048)
    for message_bits in (100, 160, 198):
        code = CODE.model_copy(update={"payload_bits": message_bits - 16})
        link = PieceLink(code, PIECE, SEED)
        assert link.code.message_bits == message_bits
        uses, passed, _ = uses_until_decoded(link, 0.0, 24, settings)
        assert passed.all()
        assert uses.mean() < 1.4 * message_bits / float(capacity(0.0))


def test_pieces_that_do_not_follow(link: PieceLink) -> None:
    [block] = blocks(link, 1)[1]
    heard = HeardCoded(0, PIECE)
    heard.add(pieces_of(block, 0, 64), 5.0)
    with pytest.raises(InputError, match="piece 1 came where 2 is due"):
        heard.add(pieces_of(block, 1, 32), 5.0)
    with pytest.raises(InputError, match="payload size 1; those before had 32 and 0"):
        heard.add(replace(pieces_of(block, 2, 32), size=1), 5.0)
    with pytest.raises(InputError, match="pieces of 16 uses"):
        heard.add(replace(pieces_of(block, 2, 32), piece=16), 5.0)
    assert heard.uses == 64


def test_information_is_that_of_the_channel() -> None:
    """Mean over BPSK and noise, against a known capacity: half a bit a use at -2.8 dB (Es/N0)."""
    rng = np.random.default_rng(0)
    variance = float(noise_variance(-2.823 + 3.0103))
    llrs = 2.0 / variance * (1.0 + np.sqrt(variance) * rng.standard_normal((200, 1000)))
    assert float(information(llrs).mean()) == pytest.approx(500, abs=4)
    assert information(np.zeros((2, 7))).tolist() == [0.0, 0.0]
    assert information(np.full(5, -800.0)) == pytest.approx(5.0)


def test_short_blocks_need_more_gains() -> None:
    bits = np.random.default_rng(3).integers(0, 2, (200, 4 * PIECE)).astype(np.uint8)
    symbols = modulate(bits, 4)
    step = np.diff(constellation(4)[np.argsort(constellation(4))])[0]
    true = np.array([np.diff(np.unique(np.round(row, 5))).min() for row in symbols]) / step

    def error(gains: int) -> float:
        return float(np.abs(block_gain(symbols, 1e-4, 4, gains) - true).mean())

    assert error(41) < 0.5 * error(GAINS)


def test_pieces_that_could_not_be_listened_to_are_heard_the_next_time(
    link: PieceLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Coded(link.send(np.ones(CODE.payload_bits, np.uint8)), 0, piece=PIECE)
    heard, expected = HeardCoded(0, PIECE), HeardCoded(0, PIECE)
    for block in (heard, expected):
        block.add(pieces_of(sent, 0, 4 * PIECE), 3.0)
    with monkeypatch.context() as patch:
        patch.setattr(modem, "block_gain", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            link.listen([heard])
    np.testing.assert_array_equal(link.listen([heard]), link.listen([expected]))
    np.testing.assert_array_equal(link.listen([heard]), link.listen([expected]))
