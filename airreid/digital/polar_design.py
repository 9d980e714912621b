"""Design of polar codes: frozen set and modulation that carry k bits in B uses."""

from __future__ import annotations

from functools import lru_cache
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from airreid.digital.crc import CrcBits
from airreid.digital.density_evolution import bit_plane_means, error_probability, input_means
from airreid.digital.modem import interleaver
from airreid.digital.polar import LLR_KNOWN, Matching, sent_positions
from airreid.digital.polar_code import PolarCode
from airreid.errors import InputError

DESIGN_ERROR = 0.3
"""Block error rate of plain successive cancellation at the design SNR. List decoding
with a CRC loses about one in a hundred there."""
BITS_PER_SYMBOL = (1, 2, 3, 4)
"""Bits per symbol that may be chosen: BPSK, 4-, 8- and 16-PAM."""
_SNR_DB_RANGE = (-40.0, 60.0)


@lru_cache(maxsize=512)
def design_code(
    payload_bits: int, uses: int, crc_bits: CrcBits = 11, bits_per_symbol: int | None = None
) -> PolarCode:
    """Designs the code for k payload bits in exactly B real uses that needs the least SNR.

    Modulation and rate matching are chosen by density evolution unless
    ``bits_per_symbol`` fixes the former. Raises :class:`InputError` when k and the CRC
    do not fit into any of them.
    """
    choices = BITS_PER_SYMBOL if bits_per_symbol is None else (bits_per_symbol,)
    best: PolarCode | None = None
    for symbol_bits in choices:
        if payload_bits + crc_bits > uses * symbol_bits:
            continue
        for matching in get_args(Matching):
            mother = _mother_length(uses * symbol_bits, matching)
            if mother is None or payload_bits + crc_bits > mother:
                continue
            code = _at_its_snr(payload_bits, crc_bits, uses, symbol_bits, mother, matching)
            if best is None or code.design_snr_db < best.design_snr_db:
                best = code
    if best is None:
        room = uses * max(choices) - crc_bits
        raise InputError(
            f"{payload_bits} bits do not fit into {uses} channel uses: at most {max(0, room)} do "
            f"with {max(choices)} bits a symbol and a CRC of {crc_bits}"
        )
    return best


def _mother_length(coded_bits: int, matching: Matching) -> int | None:
    """Returns N for n coded bits, or None where this way of matching is not used."""
    above = 1 << max(1, (coded_bits - 1).bit_length())
    if matching == "none":
        return above if above == coded_bits else None
    if matching == "repeat":
        # a little repetition costs less than decoding twice the length
        return above // 2 if above // 2 < coded_bits <= above * 9 // 16 else None
    return above if above != coded_bits else None


def _at_its_snr(
    payload_bits: int,
    crc_bits: CrcBits,
    uses: int,
    bits_per_symbol: int,
    mother: int,
    matching: Matching,
) -> PolarCode:
    """Finds the SNR at which the code has DESIGN_ERROR, and the frozen set there."""
    size = payload_bits + crc_bits
    sent = sent_positions(mother, uses * bits_per_symbol, matching)
    low, high = _SNR_DB_RANGE
    chosen = np.arange(size)
    while high - low > 0.02:
        middle = (low + high) / 2
        means = _codeword_means(middle, bits_per_symbol, uses, mother, sent, matching)
        inputs = input_means(means)
        if matching == "shorten":
            inputs[np.setdiff1d(np.arange(mother), sent)] = -1.0  # must stay frozen
        order = np.argsort(-inputs, kind="stable")[:size]
        wrong = error_probability(np.maximum(inputs[order], 0.0))
        if 1.0 - np.prod(1.0 - wrong) > DESIGN_ERROR:
            low = middle
        else:
            high, chosen = middle, order
    mask = np.zeros(mother, np.uint8)
    mask[chosen] = 1
    return PolarCode(
        payload_bits=payload_bits,
        crc_bits=crc_bits,
        uses=uses,
        bits_per_symbol=bits_per_symbol,
        mother_length=mother,
        matching=matching,
        information=np.packbits(mask).tobytes().hex(),
        design_snr_db=round(high, 2),
    )


def _codeword_means(
    snr_db: float,
    bits_per_symbol: int,
    uses: int,
    mother: int,
    sent: NDArray[np.int64],
    matching: Matching,
) -> NDArray[np.float64]:
    """Returns LLR means of the codeword's bits as the channel leaves them."""
    count = uses * bits_per_symbol
    coded = np.empty(count)
    by_plane = np.repeat(bit_plane_means(snr_db, bits_per_symbol), uses)
    coded[interleaver(count, bits_per_symbol)] = by_plane
    means = np.full(mother, LLR_KNOWN if matching == "shorten" else 0.0)
    if matching == "repeat":
        means[:] = 0.0
        np.add.at(means, sent, coded)
    else:
        means[sent] = coded
    return means
