"""Designs of codes in pieces: what a receiver of some of them can know, and that they are fixed."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from airreid.digital.bit_information import INFORMATION, LOWEST_SNR_DB
from airreid.digital.modem import constellation
from airreid.digital.piece_design import PieceCode, design_pieces
from airreid.digital.polar import transform

CODES = [(135, 256), (62, 256), (61, 64), (391, 256), (198, 256)]


def generator(code: PieceCode) -> np.ndarray:
    """Codewords (K, N) of the messages that have one bit set."""
    inputs = np.zeros((code.message_bits, code.mother_length), np.uint8)
    for bit, sources in enumerate(code.inputs):
        inputs[bit, list(sources)] = 1
    return transform(inputs)


def rank(matrix: np.ndarray) -> int:
    """Rank over GF(2), by elimination."""
    rows = [int("".join(map(str, row)), 2) for row in matrix.tolist()]
    count = 0
    while rows:
        pivot = rows.pop()
        if pivot:
            count += 1
            low = pivot & -pivot
            rows = [row ^ pivot if row & low else row for row in rows]
    return count


@pytest.mark.parametrize(("message_bits", "bandwidth"), CODES)
def test_every_state_tells_all_messages_apart(message_bits: int, bandwidth: int) -> None:
    code = design_pieces(message_bits, bandwidth, 32)
    words = generator(code)
    sent = np.zeros(code.mother_length, bool)
    decodable = 0
    for pieces, positions in enumerate(code.sent, start=1):
        sent[positions] = True
        assert sent.sum() == code.sent_bits[pieces - 1]
        state = code.state(pieces)
        if state is None:
            assert sent.sum() < 1.25 * message_bits
            continue
        decodable += 1
        assert not sent[: state.start].any()
        assert len(set(state.decided_at.tolist())) == message_bits
        assert (state.copies[:, 0] < state.copies[:, 1]).all()
        assert set(state.copies[:, 0].tolist()) <= set(state.decided_at.tolist())
        if pieces in (decodable, code.pieces) or decodable == 1:
            assert rank(words[:, sent]) == message_bits
    assert decodable >= code.pieces // 2
    assert code.state(code.pieces + 5) is not None


@pytest.mark.parametrize(("message_bits", "bandwidth"), CODES)
def test_copies_change_nothing_that_was_sent_before_them(message_bits: int, bandwidth: int) -> None:
    """A receiver of the first pieces may ignore inputs that only later pieces bring in."""
    code = design_pieces(message_bits, bandwidth, 32)
    words, sent = generator(code), np.zeros(code.mother_length, bool)
    copies = 0
    for pieces, positions in enumerate(code.sent, start=1):
        sent[positions] = True
        state = code.state(pieces)
        if state is None:
            continue
        inputs = np.zeros((message_bits, code.mother_length - state.start), np.uint8)
        inputs[np.arange(message_bits), state.decided_at] = 1
        for source, copy in state.copies.tolist():
            inputs[:, copy] = inputs[:, source]
        heard = sent[state.start :]
        np.testing.assert_array_equal(transform(inputs)[:, heard], words[:, sent])
        assert len(state.copies) >= copies
        copies = len(state.copies)
    assert copies > 0


def test_late_pieces_carry_fewer_bits_per_symbol() -> None:
    for message_bits, bandwidth in CODES:
        counts = design_pieces(message_bits, bandwidth, 32).bits_per_symbol
        assert list(counts) == sorted(counts, reverse=True)
        assert len(counts) >= bandwidth // 32
    assert design_pieces(135, 256, 32).bits_per_symbol[:6] == (4, 3, 2, 2, 2, 1)


def test_designs_are_the_same_on_every_machine() -> None:
    """A camera and an access point that differ here understand nothing of each other."""
    text = repr(
        [
            (code.mother_length, code.bits_per_symbol, code.inputs)
            for code in (design_pieces(bits, uses, 32) for bits, uses in CODES)
        ]
    )
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "b0c989a95ac77895"


@pytest.mark.parametrize("bits_per_symbol", [1, 2, 3, 4])
def test_the_table_is_the_information_of_label_bits(bits_per_symbol: int) -> None:
    """Against the integral over what is received, on a plain grid."""
    levels = constellation(bits_per_symbol)
    for snr_db in (-10, 0, 7, 15):
        sigma = 10.0 ** (-snr_db / 20)
        y = np.linspace(-3 - 9 * sigma, 3 + 9 * sigma, 8001)
        likely = np.exp(-np.square(y - levels[:, None]) / (2 * sigma**2))
        likely /= sigma * np.sqrt(2 * np.pi) * len(levels)
        for plane in range(bits_per_symbol):
            is_one = (np.arange(len(levels)) >> (bits_per_symbol - 1 - plane) & 1).astype(bool)
            parts = np.stack([likely[~is_one].sum(0), likely[is_one].sum(0)])
            share = parts / np.maximum(parts.sum(0), 1e-300)
            entropy = -(parts * np.log2(np.maximum(share, 1e-300))).sum(0)
            expected = 1.0 - np.trapezoid(entropy, y)
            row = INFORMATION[bits_per_symbol][plane]
            assert row[snr_db - LOWEST_SNR_DB] == pytest.approx(1000 * expected, abs=1.5)


def test_uses_that_are_no_whole_pieces() -> None:
    for message_bits, bandwidth in ((50, 100), (50, 0), (0, 64)):
        with pytest.raises(ValueError, match="in pieces of 32"):
            design_pieces(message_bits, bandwidth, 32)
