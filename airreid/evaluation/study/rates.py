"""Rates of digital schemes: the one for a bandwidth and an SNR, chosen on held-out people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from airreid.digital.bounds import normal_approximation, shannon_snr_db
from airreid.evaluation.study.cells import Latents, counts_of
from airreid.signal import capacity

Array = NDArray[np.float64]
Account = Literal["ideal", "finite", "coded", "paper"]
"""Account of the channel code that carries a message of k bits in B uses.

``ideal``: a code of capacity, if and only if ``k <= B C``; ``finite``: the best code of that
length, by the normal approximation, its check bits left out; ``coded``: the polar link; ``paper``:
a code of capacity carries every message where it carries the mean number of bits."""
CRC_BITS = 11
MARGIN_DB = 1.0
"""Decibels by which the polar link is taken to be short of the normal approximation where its rate
is chosen; what it does then is measured."""


def arrival(bits: NDArray[np.integer], bandwidth: int, snr_db: float, account: Account) -> Array:
    """Returns the probability that messages of so many bits each (Q,) arrive: (Q,)."""
    room = bandwidth * float(capacity(snr_db))
    if account == "paper":
        return np.full(len(bits), float(bits.mean() <= room))
    if account == "ideal":
        return np.asarray(bits <= room, np.float64)
    extra, short = (CRC_BITS, MARGIN_DB) if account == "coded" else (0, 0.0)
    distinct, place = np.unique(bits, return_inverse=True)
    error = [
        float(normal_approximation(int(k) + extra, bandwidth, snr_db - short)) for k in distinct
    ]
    return np.asarray(1.0 - np.asarray(error))[place]


def held_out_rate(
    trained: Sequence[Latents], bandwidth: int, snr_db: float, account: Account
) -> float:
    """Returns the expected top-1 of held-out people, a mean over the trainings of a scheme."""
    return float(
        np.mean(
            [
                np.mean(
                    counts_of(latents.held_out_hits)
                    * arrival(np.asarray(latents.held_out_bits), bandwidth, snr_db, account)
                )
                for latents in trained
            ]
        )
    )


def best_rate(
    schemes: Mapping[str, Sequence[Latents]], bandwidth: int, snr_db: float, account: Account
) -> str:
    """Returns the name of the scheme that finds most held-out people."""
    rates = {
        name: held_out_rate(trained, bandwidth, snr_db, account)
        for name, trained in schemes.items()
    }
    return max(rates, key=lambda name: rates[name])


def expected_hits(
    trained: Sequence[Latents], bandwidth: int, snr_db: float, account: Account
) -> Array:
    """Returns the probability that each query arrives and is found: (T, Q)."""
    return np.stack(
        [
            counts_of(latents.hits) * arrival(np.asarray(latents.bits), bandwidth, snr_db, account)
            for latents in trained
        ]
    )


def mean_bits(trained: Sequence[Latents]) -> float:
    """Returns the mean bits of a query's message over the trainings."""
    return float(np.mean([np.mean(latents.bits) for latents in trained]))


def paper_snr_db(trained: Sequence[Latents], bandwidth: int) -> float:
    """Returns the SNR at which a code of capacity carries the mean number of bits."""
    return shannon_snr_db(mean_bits(trained), bandwidth)
