"""Waits before trying again, longer each time."""

from __future__ import annotations

import random


def delay(attempt: int, longest: float, rng: random.Random, first: float = 0.2) -> float:
    """Draws seconds to wait: exponential, with full jitter.

    Uniform in [0, min(longest, first * 2**attempt)], so that many edges that lost the same
    access point do not come back at the same moment.
    """
    return rng.uniform(0.0, min(longest, first * 2.0 ** min(attempt, 60)))
