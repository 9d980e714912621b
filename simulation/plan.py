"""The plan of a run, and its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from airreid.nested.stopping import StoppingSettings
from airreid.payload import Link
from airreid.signal import SNR_DB_MIN

EDGE_ID = "cam-1"
BLOCKS_PER_POINT = 1 << 24
"""Block numbers of one SNR; no run has so many queries."""
TIE = 1e-5
"""Scores closer than this may rank either way: FAISS adds in float32, the replay in float64."""


Way = Literal["whole", "pieces", "report"]
"""Way that queries are sent: a fixed block, piece by piece, or as reports on the link advise."""


@dataclass(frozen=True)
class SweepPoint:
    """Measurement of a scheme over a link at one SNR."""

    scheme: str
    bandwidth: int
    """Real channel uses of a block."""
    link: Link
    snr_db: float
    queries: int
    top1: float
    top1_low: float
    top1_high: float
    """Bounds of top-1's 95 % interval over the people."""
    top5: float
    map: float
    outage_rate: float
    """Queries whose bits were lost, which count as not found."""
    payload_bits: float
    """Mean over the queries of the bits that the block carries, without check bits."""
    crc_bits: int
    side_bits: int
    """Per query, what the receiver must be told beside the block's symbols."""
    side_uses: float
    """Real channel uses that these take at capacity, on top of ``bandwidth``."""
    latency_ms_p50: float
    latency_ms_p99: float
    queries_per_second: float
    first_sequence: int
    replay_identical: int
    """Queries whose complete ranking, and channel uses, the offline replay reproduces."""
    uses_mean: float
    """Mean real channel uses per query; ``bandwidth`` but with ``auto`` and ``report``."""
    uses_p95: float
    """95 % of the queries took no more."""
    downlink_bits: float
    """Mean bits per query that asked for more pieces, or reported on the link."""
    way: Way = "whole"
    """``pieces``: until the access point had heard enough; ``report``: at once, as it advised."""


def first_block(snr_db: float) -> int:
    """Returns the number of an SNR's first block, whatever else is measured in the run.

    Every scheme's queries take the same numbers, and so, at one bandwidth, the same noise; two
    SNRs share none unless they are closer than a thousandth of a decibel.
    """
    return round((snr_db - SNR_DB_MIN) * 1000) * BLOCKS_PER_POINT


@dataclass
class SimulationResult:
    """Everything that a run measured."""

    points: list[SweepPoint]
    noiseless_top1: float
    """Top-1 of the features themselves: no code, no channel."""
    encode_ms_p50: float
    """Decoding, resizing and running the backbone on one query image."""
    rankings: dict[tuple[str, Link, float], NDArray[np.int64]]
    """The gallery's positions for each query, best first; a row of -1 for a lost one."""


@dataclass(frozen=True)
class SimulationPlan:
    """Schemes, links and SNRs of a run."""

    schemes: tuple[str, ...]
    links: tuple[Link, ...]
    """Links of the digital schemes; JSCC is sent over its own."""
    snrs_db: tuple[float, ...]
    seed: int
    window: int
    threads: int
    bandwidths: tuple[str | None, ...] = (None,)
    """Channel uses: of nested schemes ``auto``, ``report``, a number, or None for all; each has
    its row. ``report`` of digital schemes as well."""
    digital_in_pieces: bool = False
    """Whether ``auto`` has a row of each digital scheme in pieces, beside that of whole blocks."""
    stopping: StoppingSettings = field(default_factory=StoppingSettings)
    """When blocks that come in pieces are answered."""


class SimulationProgress:
    """Reports of a run while it goes on; every method may be overridden."""

    def phase(self, name: str, steps: int) -> None:
        """A phase of so many steps begins."""

    def step(self) -> None:
        """One step is done."""

    def point(self, point: SweepPoint) -> None:
        """A row of the table is complete."""
