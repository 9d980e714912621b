"""Thresholds for a stated false-match rate, per scheme and SNR.

The rate is ISO/IEC 19795-1's false-positive identification rate: the share of queries by
people who are not enrolled that would match somebody. A query's score is its best over
the whole gallery, so the rate belongs to a gallery of a certain size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from accesspoint.matching.policy import FEATURES, MatchPolicy, Point, Rate, Table
from accesspoint.matching.rates import (
    lower_bound,
    mean_share,
    people_needed,
    smallest_rate,
    threshold_for,
    upper_bound,
)
from accesspoint.matching.trials import (
    Direct,
    Enrolled,
    OverTheAir,
    Sender,
    Trials,
    count_steps,
    run_trials,
)
from airreid.errors import InputError
from airreid.scheme import DIRECT_SNR_DB, Scheme, links_of
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN
from airreid.validation import FiniteModel

Snr = Annotated[float, Field(ge=SNR_DB_MIN, le=SNR_DB_MAX)]


class CalibrationSettings(FiniteModel):
    """What to calibrate for."""

    false_match_rate: Rate = 0.01
    review_rate: Rate = 0.1
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    margin: Annotated[float, Field(ge=0.0, le=2.0)] = 0.02
    min_subjects: Annotated[int, Field(ge=2)] = 10
    snrs_db: Annotated[tuple[Snr, ...], Field(min_length=1, max_length=100)] = (
        *(-10.0, -7.5, -5.0, -2.5, 0.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0),
    )
    """Where to measure; the thresholds between are interpolated."""
    max_queries: Annotated[int, Field(ge=10, le=20_000)] = 1000
    """Entries that are sent at each SNR. Memory: 8 kB for each of them and each SNR."""
    seed: Annotated[int, Field(ge=0)] = 0


class PointReport(FiniteModel):
    """What was measured at one SNR. Rates are per query that arrived, a mean over people."""

    snr_db: float
    threshold: float | None
    """None: too few blocks arrived for the stated rate; the policy leaves the SNR out."""
    lower: float | None = None
    lost: float
    """Share of blocks that did not arrive."""
    strangers: int
    """People whose queries arrived, each a stranger to the rest of the gallery."""
    false_match_rate: float | None = None
    """Of strangers, at the threshold, before the margin rule, which lowers it."""
    false_match_low: float | None = None
    false_match_high: float | None = None
    """One-sided bounds at the stated confidence."""
    known: int = 0
    """People who are enrolled from another camera too."""
    true_match_rate: float | None = None
    """Of known people: matched with themselves, margin rule included."""
    true_match_low: float | None = None
    true_match_high: float | None = None
    wrong_match_rate: float | None = None
    """Of known people: matched with somebody else."""


class SchemeReport(FiniteModel):
    scheme_id: str
    link: str
    """``analog``, ``coded``, or empty for raw features."""
    queries: int
    points: tuple[PointReport, ...]


class CalibrationReport(FiniteModel):
    settings: CalibrationSettings
    subjects: int
    entries: int
    schemes: tuple[SchemeReport, ...]


@dataclass(frozen=True)
class Calibration:
    policy: MatchPolicy
    report: CalibrationReport


def senders(schemes: Sequence[Scheme], seed: int) -> dict[str, tuple[str, Sender]]:
    """How queries reach the gallery: raw features, and each scheme over its usual link."""
    ways: dict[str, tuple[str, Sender]] = {FEATURES: ("", Direct())}
    for scheme in schemes:
        link = links_of(scheme.info)[0]
        ways[scheme.info.id] = (link, OverTheAir(scheme, link, seed))
    return ways


def calibrate(
    enrolled: Enrolled,
    ways: Mapping[str, tuple[str, Sender]],
    settings: CalibrationSettings,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """A policy and what it rests on. ``ways``: by scheme id, as :func:`senders` makes them.

    Each threshold keeps the false-match rate with the stated confidence at its SNR; then
    none is allowed below that of a lower SNR, which only raises thresholds. Deterministic
    in the seed. ``tick`` gets steps done and in total, and may raise to cancel.

    Raises :class:`InputError` for a gallery that is too small for the stated rates, with
    the smallest rate that it can vouch for, and for rates out of order.
    """
    subjects = len(set(enrolled.subjects))
    _check(subjects, settings)
    tables: dict[str, Table] = {}
    reports = []
    snrs_db = tuple(sorted(set(settings.snrs_db)))
    grids = {one: snrs_db if link else (DIRECT_SNR_DB,) for one, (link, _) in ways.items()}
    entries, most = len(enrolled.features), settings.max_queries
    progress = _Progress(
        tick, sum(count_steps(entries, len(grid), most) for grid in grids.values())
    )
    for scheme_id, (link, sender) in ways.items():
        trials = run_trials(
            enrolled, sender, grids[scheme_id], most, settings.seed, progress.advance
        )
        points = _thresholds(trials, settings)
        if points:
            tables[scheme_id] = Table(points=tuple(points))
        reports.append(
            SchemeReport(
                scheme_id=scheme_id,
                link=link,
                queries=len(trials.people),
                points=tuple(_reports(trials, points, settings)),
            )
        )
    raw = tables.get(FEATURES)
    policy = MatchPolicy(
        **{name: getattr(settings, name) for name in _SHARED},
        subjects=subjects,
        near_duplicate=raw.points[0].threshold if raw else None,
        schemes=tables,
    )
    report = CalibrationReport(
        settings=settings, subjects=subjects, entries=len(enrolled.features), schemes=tuple(reports)
    )
    return Calibration(policy, report)


class _Progress:
    def __init__(self, tick: Callable[[int, int], None], total: int) -> None:
        self._tick, self._done, self._total = tick, 0, total

    def advance(self, steps: int) -> None:
        self._done += steps
        self._tick(self._done, self._total)


_SHARED = ("false_match_rate", "review_rate", "confidence", "margin", "min_subjects")


def _check(subjects: int, settings: CalibrationSettings) -> None:
    if settings.review_rate < settings.false_match_rate:
        raise InputError("review_rate must not be below false_match_rate")
    if subjects < settings.min_subjects:
        raise InputError(
            f"{subjects} subjects enrolled; calibration needs {settings.min_subjects} or more"
        )
    smallest = smallest_rate(min(subjects, settings.max_queries), settings.confidence)
    if smallest > settings.false_match_rate:
        needed = people_needed(settings.false_match_rate, settings.confidence)
        raise InputError(
            f"false_match_rate {settings.false_match_rate:g}: {subjects} subjects (at most "
            f"{settings.max_queries} queries) can vouch for {smallest:.2g} at "
            f"{settings.confidence:.0%} confidence; state that rate or more, enrol "
            f"{needed} subjects, or ask for less confidence"
        )


def _thresholds(trials: Trials, settings: CalibrationSettings) -> list[Point]:
    """Points by rising SNR, none below the one before; SNRs with too few arrivals left out."""
    points: list[Point] = []
    for snr_db, scores in zip(trials.snrs_db, trials.stranger, strict=True):
        arrived = ~np.isnan(scores)
        of = scores[arrived].astype(np.float64), trials.people[arrived]
        threshold = threshold_for(*of, settings.false_match_rate, settings.confidence)
        lower = threshold_for(*of, settings.review_rate, settings.confidence)
        if threshold is None or lower is None:
            continue
        if points:
            threshold = max(threshold, points[-1].threshold)
            lower = max(lower, points[-1].lower)
        points.append(Point(snr_db=snr_db, threshold=threshold, lower=lower))
    return points


def _reports(
    trials: Trials, points: Sequence[Point], settings: CalibrationSettings
) -> list[PointReport]:
    by_snr = {point.snr_db: point for point in points}
    reports = []
    for i, snr_db in enumerate(trials.snrs_db):
        arrived = ~trials.lost[i]
        people = trials.people[arrived]
        fixed = {
            "snr_db": snr_db,
            "lost": float((~arrived).mean()),
            "strangers": len(np.unique(people)),
        }
        point = by_snr.get(snr_db)
        if point is None:
            reports.append(PointReport(**fixed, threshold=None))
            continue
        stranger, second, genuine = (
            values[i][arrived].astype(np.float64)  # as the thresholds are
            for values in (trials.stranger, trials.second, trials.genuine)
        )
        known = np.isfinite(genuine)
        others = np.maximum(second, genuine)
        lead = max(settings.margin, 1e-9)
        right = (genuine >= point.threshold) & (genuine - stranger >= lead)
        wrong = (stranger >= point.threshold) & (stranger - others >= lead)
        false = _rate(stranger >= point.threshold, people, settings.confidence)
        true = _rate(right[known], people[known], settings.confidence)
        reports.append(
            PointReport(
                **fixed,
                threshold=point.threshold,
                lower=point.lower,
                false_match_rate=false[0],
                false_match_low=false[1],
                false_match_high=false[2],
                known=len(np.unique(people[known])),
                true_match_rate=true[0],
                true_match_low=true[1],
                true_match_high=true[2],
                wrong_match_rate=_rate(wrong[known], people[known], settings.confidence)[0],
            )
        )
    return reports


def _rate(
    hits: NDArray[np.bool_], people: NDArray[np.int64], confidence: float
) -> tuple[float | None, float | None, float | None]:
    """(rate, lower bound, upper bound) as a mean over people; None without people."""
    total, count = mean_share(hits, people)
    if not count:
        return None, None, None
    low, high = (float(bound(total, count, confidence)) for bound in (lower_bound, upper_bound))
    return total / count, low, high
