"""Report of an access point on a camera's link, and what the camera remembers of it.

A report is advice: one that is late or lost costs channel uses or outages until the next, and
changes no answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from airreid.signal import SNR_DB_MAX, SNR_DB_MIN
from airreid.v1 import uplink_pb2

REPORT_BITS = 24
"""Bits that a report takes on the downlink: SNR and spread in half decibels, and pieces to send,
8 each. What gRPC adds for want of a radio is not counted."""
REPORTED_BLOCKS = 16
"""Latest blocks of a camera that a report rests on."""
STEP_DB = 0.5
"""Step of the SNR and its spread in a report."""
TARGET_OUTAGE = 0.05
"""Share of digital blocks that may be lost unless something else is asked for.

Cellular links aim at 0.1, and send lost blocks again. Here a lost block is a lost query, so half of
that; less would take a slower scheme for less than the slower scheme loses in accuracy.
"""
_FORGET_SECONDS = 60.0
"""Age from which on a report says nothing."""
_OUTAGE_STEP_DB = 0.5
_MOST_OFFSET_DB = 10.0


@dataclass(frozen=True)
class LinkReport:
    """Latest words of the access point on a camera's link."""

    snr_db: float | None = None
    """Mean of the latest SNRs; None where no channel has said one."""
    spread_db: float = 0.0
    """Their standard deviation."""
    first_uses: int = 0
    """Uses that a block in pieces should begin with; 0: no word."""
    fixed_uses: int = 0
    """Uses of a nested block that is sent at once; 0: no word."""


class ReportedLink:
    """Memory of a camera: the latest report, and how blocks fared by it; safe in any thread.

    Where more digital blocks are lost than ``target_outage``, the SNR is taken for lower than it
    was reported: half a decibel for each lost block, given back so slowly that the target share
    of losses keeps the balance (outer-loop link adaptation, as LTE base stations do it). That
    covers channels whose blocks fail more often than the SNR tells.
    """

    def __init__(
        self,
        target_outage: float = TARGET_OUTAGE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` gives seconds that only grow."""
        self.target_outage = target_outage
        self._clock = clock
        self._lock = threading.Lock()
        self._report = LinkReport()
        self._reported_at = 0.0
        self._offset_db = 0.0

    def heard(self, response: uplink_pb2.QueryResponse) -> None:
        """Takes in what an answer says of the link."""
        with self._lock:
            in_pieces = response.uses_heard > 0  # those end as the access point says
            if response.repeated_answer:  # its report is as old as the answer
                return
            if response.link == "coded" and not in_pieces:
                self._count(response.outage)
            said_snr = response.HasField("link_report") and _is_usable(response.link_report)
            if not (said_snr or response.first_uses or response.fixed_uses):
                return
            before = self._current()
            snr_db, spread_db = before.snr_db, before.spread_db
            if said_snr:
                snr_db, spread_db = response.link_report.snr_db, response.link_report.spread_db
            self._report = LinkReport(
                snr_db,
                max(0.0, spread_db),
                response.first_uses or before.first_uses,
                response.fixed_uses or before.fixed_uses,
            )
            self._reported_at = self._clock()

    def latest(self) -> LinkReport:
        """Returns the latest report, the SNR as blocks fared by it; an empty one after a minute."""
        with self._lock:
            report = self._current()
            if report.snr_db is None:
                return report
            snr_db = report.snr_db - self._offset_db
            return LinkReport(snr_db, report.spread_db, report.first_uses, report.fixed_uses)

    def _current(self) -> LinkReport:
        if self._clock() - self._reported_at > _FORGET_SECONDS:
            return LinkReport()
        return self._report

    def _count(self, outage: bool) -> None:
        target = self.target_outage
        step = _OUTAGE_STEP_DB if outage else -_OUTAGE_STEP_DB * target / (1.0 - target)
        self._offset_db = min(max(self._offset_db + step, 0.0), _MOST_OFFSET_DB)


def choice_bits(count: int) -> int:
    """Returns the bits that say which of so many schemes, or numbers of pieces, a block has.

    Side information beside the symbols: a camera may follow another report than was sent last.
    """
    return (count - 1).bit_length()


def _is_usable(report: uplink_pb2.LinkReport) -> bool:
    widest_db = SNR_DB_MAX - SNR_DB_MIN
    return SNR_DB_MIN <= report.snr_db <= SNR_DB_MAX and abs(report.spread_db) <= widest_db
