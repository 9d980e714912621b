"""SNR of each camera's link of late: a mean that neither old nor odd blocks move far."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from airreid.link_report import REPORTED_BLOCKS, STEP_DB
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN

_CAMERAS = 4096
"""Cameras that are remembered, those heard last."""
_FORGET_SECONDS = 60.0
"""Age from which on a block says nothing of the link, unless it is the latest."""
_HALF_LIFE_SECONDS = 10.0
"""Age at which a block counts half."""
_QUARTILES_PER_SIGMA = 1.349
"""Distance of a normal distribution's quartiles in its standard deviations."""


class RecentSnr(NamedTuple):
    """SNR of a link of late, in steps of half a decibel."""

    snr_db: float
    spread_db: float
    """Standard deviation between blocks."""


class RecentSnrs:
    """SNRs of the latest blocks by camera; safe in any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds that only grow."""
        self._clock = clock
        self._lock = threading.Lock()
        self._cameras: OrderedDict[str, deque[tuple[float, float]]] = OrderedDict()
        """Time and SNR of each block, the oldest first."""

    def __len__(self) -> int:
        """Number of cameras that are remembered."""
        return len(self._cameras)

    def heard(self, edge_id: str, snr_db: float) -> None:
        """Notes the SNR that the channel reports of a block."""
        with self._lock:
            blocks = self._cameras.setdefault(edge_id, deque(maxlen=REPORTED_BLOCKS))
            blocks.append((self._clock(), min(max(snr_db, SNR_DB_MIN), SNR_DB_MAX)))
            self._cameras.move_to_end(edge_id)
            while len(self._cameras) > _CAMERAS:
                self._cameras.popitem(last=False)

    def of(self, edge_id: str) -> RecentSnr | None:
        """Returns a camera's SNR of late; None where no channel has said one.

        The mean is that of the half of the blocks, by weight, between the quartiles; a block of
        10 s counts half as much as a new one.
        """
        with self._lock:
            blocks = list(self._cameras.get(edge_id, ()))
        if not blocks:
            return None
        now = self._clock()
        rising = sorted(
            (snr_db, 0.5 ** ((now - heard) / _HALF_LIFE_SECONDS))
            for heard, snr_db in blocks
            if now - heard <= _FORGET_SECONDS
        ) or [(blocks[-1][1], 1.0)]
        total = sum(weight for _, weight in rising)
        low = high = blocks[-1][1]
        mean = reached = 0.0
        for snr_db, weight in rising:  # without NumPy: they are few, and every message asks
            before, reached = reached, reached + weight / total
            if reached < 0.25:
                continue
            if before < 0.25:
                low, before = snr_db, 0.25
            high = snr_db
            mean += snr_db * (min(reached, 0.75) - before) / 0.5
            if reached >= 0.75:
                break
        return RecentSnr(_rounded(mean), _rounded((high - low) / _QUARTILES_PER_SIGMA))


def _rounded(value: float) -> float:
    return round(value / STEP_DB) * STEP_DB
