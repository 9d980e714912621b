"""Coded link in pieces: payload bits to pieces of symbols, and back from any number of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from airreid.digital import modem
from airreid.digital.channel_code import ChannelCode
from airreid.digital.crc import Crc, PieceCrcBits
from airreid.digital.link import Decoded
from airreid.digital.list_decoder import ListDecoder
from airreid.digital.piece_design import PieceState, design_pieces
from airreid.digital.polar import transform
from airreid.nested.stopping import StoppingSettings, more_uses
from airreid.payload import HeardCoded
from airreid.signal import capacity, noise_variance

Bits = NDArray[np.uint8]
Floats = NDArray[np.float64]
_GAINS = 41
"""Gains that a piece's levels are tried with: it has few symbols."""
_LEAST_SHARE = 0.9
"""Share of a message's bits that must have been heard before decoding is tried."""
_HOPELESS_SHARE = 0.8
"""Share of a message's bits below which all that may be sent is not worth hearing."""
_LEAST_STEP = 1 / 32
"""Share of a message's bits that the next pieces bring in, about, at least: each time that a block
is decoded a wrong message may pass."""


class PieceLink:
    """CRC, polar code and PAM of one payload size, sent piece by piece."""

    def __init__(
        self, code: ChannelCode, piece: int, seed: bytes = b"", list_size: int = 8
    ) -> None:
        """``code``: of the whole block, whose payload, uses and longer CRC count here.

        ``seed`` of the CRC: the first bytes of the table that made the payload. Raises
        :class:`ValueError` for uses that are not whole pieces.
        """
        self.bandwidth, self._payload_bits = code.uses, code.payload_bits
        # a wrong message may pass each time that a block is decoded, so 11 bits are too few
        self.crc_bits: PieceCrcBits = 24 if code.crc_bits == 24 else 16
        self.code = design_pieces(code.payload_bits + self.crc_bits, code.uses, piece)
        self._crc = Crc(code.payload_bits, self.crc_bits, seed)
        self._list_size = list_size
        self._decoders: dict[int, ListDecoder] = {}

    def send(self, payload: Bits) -> NDArray[np.float32]:
        """Sends payload bits (k,) -> the symbols of all pieces, each piece of mean power 1."""
        message = self._crc.append(payload)
        inputs = np.zeros(self.code.mother_length, np.uint8)
        for bit, sources in zip(message.tolist(), self.code.inputs, strict=True):
            inputs[list(sources)] = bit
        codeword = transform(inputs)
        pieces = [
            modem.modulate(codeword[sent], bits_per_symbol)
            for sent, bits_per_symbol in zip(self.code.sent, self.code.bits_per_symbol, strict=True)
        ]
        return np.concatenate(pieces)

    def listen(self, blocks: Sequence[HeardCoded]) -> Floats:
        """Adds the fresh pieces to blocks' log-likelihood ratios, and returns these: (b, N)."""
        fresh: list[tuple[HeardCoded, int]] = []
        """Block and place of each piece."""
        rows, variances = list[NDArray[np.float32]](), list[float]()
        for block in blocks:
            number = block.next_piece - sum(len(s) for s, _ in block.fresh) // block.piece
            for symbols, snr_db in block.fresh:
                pieces = symbols.reshape(-1, block.piece)
                rows.extend(pieces)
                variances += [float(noise_variance(snr_db))] * len(pieces)
                fresh += [(block, (number + i) % self.code.pieces) for i in range(len(pieces))]
                number += len(pieces)
            if block.llrs is None:
                block.llrs = np.zeros(self.code.mother_length)
        counts = np.array([self.code.bits_per_symbol[place] for _, place in fresh], np.int64)
        llrs: dict[int, Floats] = {}
        for count in np.unique(counts).tolist():
            alike = np.flatnonzero(counts == count)
            received, variance = np.stack([rows[i] for i in alike]), np.array(variances)[alike]
            gain = modem.block_gain(received, variance, count, _GAINS)
            scaled, scaled_variance = received / gain[:, None], variance / np.square(gain)
            parts = modem.llrs(scaled, scaled_variance, count)
            llrs |= dict(zip(alike.tolist(), parts, strict=True))
        for i, (block, place) in enumerate(fresh):  # in their order: sums round
            np.add.at(_llrs(block), self.code.sent[place], llrs[i])
        for block in blocks:  # last: a failure leaves all as it was
            block.fresh.clear()
        return np.stack([_llrs(block) for block in blocks])

    def receive(self, blocks: Sequence[HeardCoded]) -> Decoded:
        """Decodes blocks from the pieces heard of each: payloads (b, k) and whether they passed.

        One that has heard too little of its message does not pass, and takes no time.
        """
        payload = np.zeros((len(blocks), self._payload_bits), np.uint8)
        passed = np.zeros(len(blocks), bool)
        llrs = self.listen(blocks)
        enough = information(llrs) >= _LEAST_SHARE * self.code.message_bits
        states = [min(block.next_piece, self.code.pieces) for block in blocks]
        for pieces in sorted(set(states)):
            rows = [i for i, other in enumerate(states) if other == pieces and enough[i]]
            state = self.code.state(pieces) if rows else None
            if state is None:
                continue
            decoder = self._decoder(pieces, state)
            words, metric = decoder.decode(llrs[rows, state.start :])
            messages = transform(words)[..., state.decided_at]
            passes = self._crc.passes(messages) & np.isfinite(metric)
            best = messages[np.arange(len(rows)), passes.argmax(axis=1)]
            payload[rows], passed[rows] = best[:, : self._payload_bits], passes.any(axis=1)
        return Decoded(payload, passed)

    def _decoder(self, pieces: int, state: PieceState) -> ListDecoder:
        if pieces not in self._decoders:
            mask = np.zeros(self.code.mother_length - state.start, bool)
            mask[state.decided_at] = True
            self._decoders[pieces] = ListDecoder(mask, self._list_size, state.copies)
        return self._decoders[pieces]

    def next_uses(self, heard: HeardCoded, settings: StoppingSettings, snr_db: float) -> int:
        """Returns the uses to hear next of a block that could not be decoded; 0: give it up.

        As many pieces as it takes, at the rate of those heard, until decoding is worth trying
        again, one at least. Given up is a block that has had all uses that it may have, or that
        these cannot carry by far.
        """
        piece = heard.piece
        limit = settings.limit(self.bandwidth, piece)
        left = min(limit - heard.uses, self.bandwidth)
        if left <= 0:
            return 0
        came_in = float(information(self.listen([heard])[0]))
        rate = max(came_in / heard.uses, 1e-9)
        if max(rate, float(capacity(snr_db))) * limit < _HOPELESS_SHARE * self.code.message_bits:
            return 0
        if settings.growth:
            return more_uses(heard.uses, piece, settings.growth, left)
        per_piece = rate * piece / self.code.message_bits
        missing = _LEAST_SHARE - came_in / self.code.message_bits
        pieces = max(1.0, math.ceil(missing / per_piece), _LEAST_STEP / per_piece)
        return piece * int(min(pieces, left // piece))

    def first_uses(self, snr_db: float) -> int:
        """Returns the uses that a block should begin with at an SNR: what capacity demands."""
        piece = self.code.piece
        needed = self.code.message_bits / (float(capacity(snr_db)) * piece)
        return min(self.bandwidth, piece * max(1, math.floor(min(needed, self.code.pieces))))


def _llrs(block: HeardCoded) -> Floats:
    assert block.llrs is not None
    return block.llrs


def information(llrs: Floats) -> Floats:
    """Returns the bits that log-likelihood ratios (..., N) carry together: (...).

    1 - H(p) of each, p the probability of the likelier value: the mean of that over what a channel
    may bring is its mutual information.
    """
    size = np.abs(llrs)
    odds = np.exp(-size)
    lost = np.log1p(odds) + size * odds / (1.0 + odds)
    return np.asarray((1.0 - lost / np.log(2.0)).sum(axis=-1))
