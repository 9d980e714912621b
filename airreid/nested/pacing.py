"""Pace of a camera's blocks in pieces: how many uses to send before a word is waited for.

A word costs a round trip, in which the radio could have sent ``round trip * symbol rate`` uses. The
access point asks for as few uses as it can. Where a round trip is worth a piece or more, more of a
block at once may bring its answer sooner. How many does so is what would have done best for the
latest blocks: each tells of how many pieces the access point had not heard enough, and of how many
it had.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airreid.link_report import LinkReport
from airreid.v1 import uplink_pb2

_TRIPS = 16
"""Latest round trips, of which the median counts."""
_BLOCKS = 64
"""Latest answers that are remembered."""
_AS_ADVISED = 3
"""How many of them must be of blocks that began as advised: those show whether less would do."""
_NEAR_DB = 2.0
"""Difference in SNR, beside twice the spread, from which on a block says nothing of the next."""
_UNDER_WAY_MAX = 1024
_ROUNDS = 25

Interval = tuple[int, int]
"""Pieces of a block that were not enough, and pieces that were."""


def shares_of_need(intervals: Sequence[Interval], count: int) -> NDArray[np.float64]:
    """Returns the share (count,) of blocks that need 1, 2 ... ``count`` pieces.

    The most likely one (Turnbull's estimate of interval-censored data), from a uniform one. A
    need beyond ``count`` counts as that.
    """
    ends = np.clip(np.asarray(intervals, np.int64).reshape(-1, 2), 0, count)
    ends[:, 0] = np.minimum(ends[:, 0], ends[:, 1] - 1)
    pieces = np.arange(1, count + 1)
    within = (pieces > ends[:, :1]) & (pieces <= ends[:, 1:])
    shares = np.full(count, 1.0 / count)
    for _ in range(_ROUNDS if len(ends) else 0):
        each = within * shares
        shares = (each / each.sum(axis=1, keepdims=True)).mean(axis=0)
    return shares


def pieces_at_once(shares: NDArray[np.float64], heard: int, round_trip: float) -> int:
    """Returns how many pieces of a block to send next for the least mean time to its answer.

    shares: (K,), of blocks that need 1 ... K pieces; this one needs more than ``heard``, from 0 to
    K - 1. ``round_trip``: its time in pieces. One piece where nothing is known of such blocks.
    """
    count = len(shares)
    beyond = np.append(np.cumsum(shares[::-1])[::-1], 0.0)  # share that needs more than 0 ... K
    cost = np.zeros(count + 1)  # of pieces and round trips still to come, times ``beyond``
    best = 1
    for begun in range(count - 1, heard - 1, -1):
        pieces = np.arange(1, count - begun + 1)
        costs = beyond[begun] * (pieces + round_trip) + cost[begun + 1 :]
        best = int(costs.argmin()) + 1
        cost[begun] = costs[best - 1]
    return best


@dataclass
class _UnderWay:
    """A block that is under way, and how it went out."""

    scheme_id: str
    piece: int
    count: int
    """Pieces of the whole block."""
    as_advised: bool
    """Whether it began with what the access point advised."""
    sent: int = 0
    """Uses sent, repeated ones included."""
    not_enough: int = 0
    """Pieces heard when more was wanted last."""
    last_symbol: float | None = None
    """Time when the latest message has gone out; None once its word has come."""


class _Need(NamedTuple):
    """Report of an answer on the pieces that its block needed."""

    scheme_id: str
    snr_db: float | None
    interval: Interval
    as_advised: bool


class Pacing:
    """Memory of a camera: what a word costs, and what its latest blocks needed; for any thread.

    A round trip is shared by the blocks that are under way: while one waits for its word, the
    others have the air. One that is worth less than a piece changes nothing: blocks go out as the
    access point asks.
    """

    def __init__(self, symbol_rate: float, clock: Callable[[], float] = time.perf_counter) -> None:
        """``symbol_rate``: channel uses in a second; ``clock`` gives seconds that only grow."""
        self._symbol_rate = symbol_rate
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = float("-inf")
        """Time when the radio has sent what it was given."""
        self._trips: deque[float] = deque(maxlen=_TRIPS)
        self._needs: deque[_Need] = deque(maxlen=_BLOCKS)
        self._blocks: OrderedDict[int, _UnderWay] = OrderedDict()

    def round_trip(self) -> float:
        """Returns the seconds from a message's last symbol to its word; 0 before the first."""
        with self._lock:
            return self._median_trip()

    def _median_trip(self) -> float:
        return median(self._trips) if self._trips else 0.0

    def restart(self) -> None:
        """Notes that a stream opens: no block is under way on it."""
        with self._lock:
            self._blocks.clear()

    def begin(
        self,
        sequence: int,
        scheme_id: str,
        piece: int,
        whole: int,
        advised: int,
        report: LinkReport,
    ) -> int:
        """Returns the uses that a block's first message should have; it goes out now.

        ``whole``: uses of the block. ``advised``: uses that the access point would begin with.
        ``report``: its latest words on the link.
        """
        with self._lock:
            count = whole // piece
            block = _UnderWay(scheme_id, piece, count, as_advised=True)
            self._blocks.pop(sequence, None)
            self._blocks[sequence] = block
            while len(self._blocks) > _UNDER_WAY_MAX:
                self._blocks.popitem(last=False)
            needs = self._needs_near(scheme_id, report)
            as_advised = sum(need.as_advised for need in needs)
            block.as_advised = self._trip_in(piece) < 1.0 or as_advised < _AS_ADVISED
            return self._going_out(block, advised, [] if block.as_advised else needs)

    def go_on(self, sequence: int, wanted: int, report: LinkReport) -> int:
        """Returns the uses that a block's next message should have; it goes out now.

        ``wanted``: uses that the access point asked for.
        """
        with self._lock:
            block = self._blocks.get(sequence)
            if block is None:
                return wanted
            return self._going_out(block, wanted, self._needs_near(block.scheme_id, report))

    def _going_out(self, block: _UnderWay, asked: int, needs: Sequence[_Need]) -> int:
        """Notes a message with as many uses as asked for, or with more, by what was needed."""
        heard, piece = block.sent // block.piece, block.piece
        pieces, trip = asked // piece, self._trip_in(piece)
        if needs and trip >= 1.0 and heard + pieces < block.count:
            shares = shares_of_need([need.interval for need in needs], block.count)
            pieces = max(pieces, pieces_at_once(shares, heard, trip))
        pieces = max(1, min(pieces, block.count))
        block.sent += pieces * piece
        self._free_at = max(self._clock(), self._free_at) + pieces * piece / self._symbol_rate
        block.last_symbol = self._free_at
        return pieces * piece

    def heard(self, response: uplink_pb2.QueryResponse) -> None:
        """Takes in a word or an answer."""
        with self._lock:
            block = self._blocks.get(response.id.sequence)
            if block is None or response.repeated_answer or response.uses_heard != block.sent:
                return
            if block.last_symbol is not None:
                self._trips.append(max(0.0, self._clock() - block.last_symbol))
                block.last_symbol = None
            pieces = block.sent // block.piece
            if response.more_wanted:
                block.not_enough = pieces
                return
            snr_db = response.channel.snr_db if response.HasField("channel") else None
            interval = (block.not_enough, pieces)
            self._needs.append(_Need(block.scheme_id, snr_db, interval, block.as_advised))

    def ended(self, sequence: int) -> None:
        """Forgets a block: it has its answer, or goes out anew."""
        with self._lock:
            self._blocks.pop(sequence, None)

    def _trip_in(self, piece: int) -> float:
        """Returns a block's share of a round trip, in pieces that the radio sends meanwhile."""
        seconds = self._median_trip() / max(1, len(self._blocks))
        return seconds * self._symbol_rate / piece

    def _needs_near(self, scheme_id: str, report: LinkReport) -> list[_Need]:
        """Returns what is known of blocks of a scheme whose SNR was about that of the report."""
        reach_db = _NEAR_DB + 2.0 * report.spread_db
        return [
            need
            for need in self._needs
            if need.scheme_id == scheme_id
            and (
                need.snr_db is None
                or report.snr_db is None
                or abs(need.snr_db - report.snr_db) <= reach_db
            )
        ]
