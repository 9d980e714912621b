"""From a latent to the payload that carries it, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.digital import arithmetic
from airreid.digital.coding_tables import CodingTables
from airreid.digital.prior import Prior

Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class Message:
    """A latent as bits."""

    bits: Bits
    """(k,): the shortest code word, which may be continued by zeros."""
    shortened: int
    """Symbols that were replaced by the most likely ones to make the message fit."""


def message(latent: NDArray[np.int64], prior: Prior, limit: int) -> Message:
    """Makes the message of a latent (d,) in at most ``limit`` bits.

    A latent that needs more is not refused: the symbols that cost most are replaced by
    the most likely ones of their dimension, as few as it takes. The receiver need not
    know. Raises :class:`ValueError` if not even the most likely latent fits.
    """
    bits = arithmetic.encode(latent, prior)
    if len(bits) <= limit:
        return Message(bits, 0)
    likely = prior.most_likely()
    cost, least = prior.symbol_bits(latent), prior.symbol_bits(likely)
    order = np.argsort(least - cost, kind="stable")
    left = cost.sum() - np.cumsum((cost - least)[order])
    count = min(len(latent), int(np.searchsorted(-left, -float(limit))) + 1)
    for replaced in range(count, len(latent) + 1):
        changed = latent.copy()
        changed[order[:replaced]] = likely[order[:replaced]]
        bits = arithmetic.encode(changed, prior)
        if len(bits) <= limit:
            return Message(bits, int((changed != latent).sum()))
    raise ValueError(f"not even the most likely latent fits into {limit} bits")


def smallest_size(length: int, tables: CodingTables) -> int:
    """Returns the number of the smallest payload size that holds so many bits."""
    return next(i for i, code in enumerate(tables.codes) if code.payload_bits >= length)


def padded(bits: Bits, size: int) -> Bits:
    """Returns the message continued by zeros to ``size`` bits."""
    return np.concatenate([bits, np.zeros(size - len(bits), np.uint8)])
