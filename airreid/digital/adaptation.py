"""Choice of a digital scheme by the SNR: rate and modulation for a target outage.

The outage of a code at an SNR follows from what its bundle says of it. A polar code's
``design_snr_db`` is where about 1.5 % of its blocks are lost; around it the losses fall as those of
the best codes of the length do (normal approximation). Within 1.5 dB of the design SNR that was
right to a factor of two, or 0.3 dB, for the codes of the demo's bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from airreid.bundle import Bundle
from airreid.digital.bounds import normal_approximation, normal_approximation_snr_db
from airreid.digital.channel_code import ChannelCode
from airreid.digital.polar_code import PolarCode
from airreid.digital.scheme import DigitalScheme
from airreid.link_report import LinkReport
from airreid.scheme_info import DigitalInfo

_OUTAGE_AT_DESIGN = 0.015
"""Share of a polar code's blocks that are lost at its design SNR, by list decoding."""
_USUAL_GAP_DB = 1.5
"""SNR beyond the best codes of the length that another code is taken to need."""
_ACCURACY_LOSS = 0.005
"""Top-1 that may be lost for fewer channel uses."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)


@dataclass(frozen=True)
class Rate:
    """A digital scheme as a rate that can be chosen."""

    scheme_id: str
    uses: int
    """Real channel uses of a block."""
    payload_bits: int
    """Payload that nearly all messages fit."""
    gap_db: float
    """SNR beyond the best codes of the length that its code needs."""
    top1: float | None
    """Top-1 of what arrives, by the model card."""

    def outage(self, snr_db: float, spread_db: float = 0.0) -> float:
        """Returns the share of blocks lost where SNRs are normal with this spread in dB."""
        snrs_db = snr_db - self.gap_db + spread_db * _NODES
        lost = normal_approximation(self.payload_bits, self.uses, snrs_db)
        return float(lost @ _WEIGHTS / _WEIGHTS.sum())

    def least_snr_db(self, outage: float) -> float:
        """Returns the SNR from which on no more than ``outage`` of the blocks are lost."""
        return self.gap_db + normal_approximation_snr_db(self.payload_bits, self.uses, outage)


def choose_rate(rates: Sequence[Rate], report: LinkReport, target_outage: float) -> Rate:
    """Returns the rate to send by.

    Of those that keep the target outage at the reported SNR it is the one with the fewest uses
    among those within half a point of the best top-1; where the model card lacks a top-1, the one
    with the largest payload. Without a report, and where no rate keeps the target, it is the one
    that needs the least SNR.
    """
    sturdiest = min(rates, key=lambda rate: (rate.least_snr_db(target_outage), rate.uses))
    snr_db = report.snr_db
    if snr_db is None:
        return sturdiest
    outages = {rate: rate.outage(snr_db, report.spread_db) for rate in rates}
    fitting = [rate for rate in rates if outages[rate] <= target_outage]
    if not fitting:
        return sturdiest
    if any(rate.top1 is None for rate in fitting):
        return max(fitting, key=lambda rate: (rate.payload_bits, -rate.uses))
    worth = {rate: (1.0 - outages[rate]) * (rate.top1 or 0.0) for rate in fitting}
    enough = max(worth.values()) - _ACCURACY_LOSS
    near = [rate for rate in fitting if worth[rate] >= enough]
    return min(near, key=lambda rate: (rate.uses, -worth[rate]))


def rate_ids(bundle: Bundle, scheme_id: str) -> list[str]:
    """Lists the digital schemes of a scheme's feature space that take no more uses than it does.

    Raises :class:`airreid.errors.BundleError` for a scheme that the bundle lacks.
    """
    named = bundle.scheme(scheme_id)
    return [
        info.id
        for info in bundle.manifest.schemes
        if isinstance(info, DigitalInfo)
        and info.space_id == named.space_id
        and info.bandwidth <= named.bandwidth
    ]


def rate_of(bundle: Bundle, scheme: DigitalScheme) -> Rate:
    """Returns a scheme as a rate.

    Its largest payload is made for messages longer than any that were seen, so the next smaller one
    counts.
    """
    codes, scheme_id = scheme.tables.codes, scheme.info.id
    code = codes[-2] if len(codes) > 1 else codes[0]
    accuracy = bundle.manifest.provenance.accuracy
    rows = () if accuracy is None else accuracy.digital
    top1 = next((row.top1 for row in rows if row.scheme == scheme_id), None)
    return Rate(scheme_id, code.uses, code.payload_bits, _gap_db(code), top1)


def _gap_db(code: ChannelCode) -> float:
    if not isinstance(code, PolarCode):
        return _USUAL_GAP_DB
    best = normal_approximation_snr_db(code.payload_bits, code.uses, _OUTAGE_AT_DESIGN)
    return code.design_snr_db - best
