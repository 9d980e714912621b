"""People who are held out of a training."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import TypeVar

import numpy as np

from airreid.datasets.samples import IN_NAMES

T = TypeVar("T", str, int)
_STREAM = 0x4E1D
"""Second word of the generator's seed, so that nothing else draws the same numbers."""


def _hashed(name: str | int) -> bytes:
    return hashlib.sha256(str(name).encode(errors=IN_NAMES)).digest()


def hold_out(identities: Collection[T], count: int, seed: int | None = None) -> set[T]:
    """Chooses ``count`` of the identities, the same ones on every machine.

    Without a seed those whose names hash lowest: people who are added later change few of
    them. With a seed they are drawn by a Philox generator from the identities in order.
    """
    if seed is None:
        ordered = sorted(identities, key=_hashed)
        return set(ordered[:count])
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, _STREAM])))
    ordered = sorted(identities)
    return {ordered[i] for i in rng.permutation(len(ordered))[:count]}
