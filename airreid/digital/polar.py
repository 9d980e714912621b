"""The polar transform, and which of its output bits are sent.

Codeword x = u F^(⊗m) over GF(2), F = [[1, 0], [1, 1]], in natural order (no bit
reversal), N = 2^m: Arıkan, *Channel polarization*, IEEE Trans. Inf. Theory 55 (2009).
Frozen bits are 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from airreid.digital.polar_code import PolarCode

Bits = NDArray[np.uint8]
Matching = Literal["none", "puncture", "shorten", "repeat"]
"""Ways to send n bits of a codeword of N."""
LLR_KNOWN = 1e3
"""Log-likelihood ratio of a bit that the receiver knows to be 0."""


def transform(bits: Bits) -> Bits:
    """Transforms u -> x, (..., N) -> (..., N); its own inverse."""
    x = bits.copy()
    length, half = x.shape[-1], 1
    while half < length:
        pairs = x.reshape(*x.shape[:-1], length // (2 * half), 2, half)
        pairs[..., 0, :] ^= pairs[..., 1, :]
        half *= 2
    return x


def encode(message: Bits, mask: NDArray[np.bool_]) -> Bits:
    """Encodes message bits (..., K) -> codewords (..., N); ``mask`` (N,) says where they go."""
    u = np.zeros((*message.shape[:-1], len(mask)), np.uint8)
    u[..., mask] = message
    return transform(u)


def bit_reversed(length: int) -> NDArray[np.int64]:
    """Returns the numbers 0 .. N - 1 in the order of their reversed bits, N a power of two."""
    order = np.zeros(1, np.int64)
    while len(order) < length:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


def sent_positions(mother_length: int, coded_bits: int, matching: Matching) -> NDArray[np.int64]:
    """Returns codeword positions in the order in which they are sent, (n,).

    Puncturing leaves out the first positions in bit-reversed order and shortening the
    last, which with their frozen inputs are known to be 0: Bioglio, Gabry, Land,
    *Low-complexity puncturing and shortening of polar codes*, WCNC workshops 2017.
    Repetition begins again at the front.
    """
    if matching == "repeat":
        return np.arange(coded_bits) % mother_length
    order = bit_reversed(mother_length)
    missing = mother_length - coded_bits
    unsent = order[:missing] if matching == "puncture" else order[mother_length - missing :]
    sent = np.ones(mother_length, bool)
    sent[unsent] = False
    return np.flatnonzero(sent)


def match(codewords: Bits, code: PolarCode) -> Bits:
    """Matches codewords (..., N) -> coded bits as sent (..., n)."""
    return codewords[..., sent_positions(code.mother_length, code.coded_bits, code.matching)]


def unmatch(llrs: NDArray[np.float64], code: PolarCode) -> NDArray[np.float64]:
    """Undoes :func:`match`: LLRs of the coded bits (..., n) -> LLRs of the codeword (..., N)."""
    rest = LLR_KNOWN if code.matching == "shorten" else 0.0
    whole = np.full((*llrs.shape[:-1], code.mother_length), rest)
    sent = sent_positions(code.mother_length, code.coded_bits, code.matching)
    if code.matching != "repeat":
        whole[..., sent] = llrs
        return whole
    for start in range(0, code.coded_bits, code.mother_length):
        part = llrs[..., start : start + code.mother_length]
        whole[..., : part.shape[-1]] += part
    return whole
