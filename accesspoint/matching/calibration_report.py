"""Report of a calibration: what was measured at each SNR with the thresholds found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, ConfigDict, Field

from accesspoint.matching.calibration_settings import CalibrationSettings
from accesspoint.matching.decision import NO_SECOND, matches
from accesspoint.matching.policy import Point
from accesspoint.matching.rates import Floats, lower_bound, mean_share, upper_bound
from accesspoint.matching.stopping_fit import StoppingReport
from accesspoint.matching.trials import Trials
from airreid.validation import FiniteModel


class PointReport(FiniteModel):
    """Measurement at one SNR. Rates are per query that arrived, a mean over people.

    In JSON ``review_threshold`` is ``lower`` and ``impostors`` is ``strangers``.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    snr_db: float
    threshold: float | None
    """None: too few blocks arrived for the stated rate; the policy leaves the SNR out."""
    review_threshold: float | None = Field(
        default=None,
        validation_alias=AliasChoices("lower", "review_threshold"),
        serialization_alias="lower",
    )
    lost: float
    """Share of blocks that did not arrive."""
    impostors: int = Field(
        validation_alias=AliasChoices("strangers", "impostors"), serialization_alias="strangers"
    )
    """People whose queries arrived, each an impostor to the rest of the gallery."""
    false_match_rate: float | None = None
    """Share of impostors at or above the threshold, before the margin rule, which lowers it."""
    false_match_low: float | None = None
    false_match_high: float | None = None
    """One-sided bounds at the stated confidence."""
    known: int = 0
    """People who are enrolled from another camera too."""
    true_match_rate: float | None = None
    """Share of known people who match themselves, margin rule included."""
    true_match_low: float | None = None
    true_match_high: float | None = None
    wrong_match_rate: float | None = None
    """Share of known people who match somebody else."""


class TradeOff(FiniteModel):
    """Cost of one false-match rate at one SNR: what is recognised with its threshold."""

    false_match_rate: float
    """Rate that is kept."""
    snr_db: float
    threshold: float | None = None
    """None: too few people for the rate; see ``subjects_needed``."""
    subjects_needed: int
    """Subjects whose blocks must arrive to vouch for the rate."""
    true_match_rate: float | None = None
    true_match_low: float | None = None
    true_match_high: float | None = None


class LeftOutSubject(FiniteModel):
    """Subject that was not measured with, since it looks like another one."""

    subject: str
    like: str
    cosine: float


class SchemeReport(FiniteModel):
    """Measurements of one scheme, by rising SNR."""

    scheme_id: str
    link: str
    """``analog``, ``coded``, or empty for raw features."""
    queries: int
    points: tuple[PointReport, ...]
    stopping: StoppingReport | None = None
    """Reliability of the stopping rule that was fitted, of a nested scheme."""
    trade_offs: tuple[TradeOff, ...] = ()
    """Other rates, at the lowest SNR, the one next to 0 dB and the highest."""

    @property
    def best_true_match_rate(self) -> float | None:
        """Share of known people that are matched at the best SNR; None where nobody is known."""
        rates = [point.true_match_rate for point in self.points if point.threshold is not None]
        return max((rate for rate in rates if rate is not None), default=None)


class CalibrationReport(FiniteModel):
    """Measurements that a policy rests on."""

    settings: CalibrationSettings
    subjects: int
    entries: int
    cameras: int = 0
    schemes: tuple[SchemeReport, ...]
    left_out: tuple[LeftOutSubject, ...] = ()
    recognise_nobody: tuple[str, ...] = ()
    """Schemes left out of the policy, since they match fewer known people than
    ``min_true_match_rate``."""


def report_points(
    trials: Trials, points: Sequence[Point], settings: CalibrationSettings
) -> list[PointReport]:
    """Measures how often queries match by ``points``, for each SNR of the trials.

    Each query is decided as :func:`accesspoint.matching.decision.decide` would: a match with
    the own subject counts as true, with another as wrong. An SNR without a point is reported
    without rates.
    """
    by_snr = {point.snr_db: point for point in points}
    return [
        _report(trials, row, by_snr.get(snr_db), settings)
        for row, snr_db in enumerate(trials.snrs_db)
    ]


def _report(
    trials: Trials, row: int, point: Point | None, settings: CalibrationSettings
) -> PointReport:
    arrived = ~trials.lost[row]
    people = trials.people[arrived]
    counts = {
        "snr_db": trials.snrs_db[row],
        "lost": float((~arrived).mean()),
        "impostors": len(np.unique(people)),
    }
    if point is None:
        return PointReport(**counts, threshold=None)
    impostor, second_impostor, genuine = (
        scores[row][arrived].astype(np.float64)  # as the thresholds are
        for scores in (trials.impostor, trials.second_impostor, trials.genuine)
    )
    known = np.isfinite(genuine)
    right = matches(genuine, _lead(genuine, impostor), point, settings.margin)
    rival = np.maximum(second_impostor, genuine)
    wrong = matches(impostor, _lead(impostor, rival), point, settings.margin)
    false = _rate(impostor >= point.threshold, people, settings.confidence)
    true = _rate(right[known], people[known], settings.confidence)
    return PointReport(
        **counts,
        threshold=point.threshold,
        review_threshold=point.review_threshold,
        false_match_rate=false[0],
        false_match_low=false[1],
        false_match_high=false[2],
        known=len(np.unique(people[known])),
        true_match_rate=true[0],
        true_match_low=true[1],
        true_match_high=true[2],
        wrong_match_rate=_rate(wrong[known], people[known], settings.confidence)[0],
    )


def _lead(scores: Floats, others: Floats) -> Floats:
    """Leads of scores (n,) over the best others (n,), -inf where there are none."""
    return scores - np.where(np.isneginf(others), NO_SECOND, others)


def _rate(
    hits: NDArray[np.bool_], people: NDArray[np.int64], confidence: float
) -> tuple[float | None, float | None, float | None]:
    """Returns (rate, lower bound, upper bound) as a mean over people; None without people."""
    total, count = mean_share(hits, people)
    if not count:
        return None, None, None
    low, high = (float(bound(total, count, confidence)) for bound in (lower_bound, upper_bound))
    return total / count, low, high
