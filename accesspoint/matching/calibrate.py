"""Calibration: thresholds for a stated false-match rate, per scheme and SNR.

The rate is ISO/IEC 19795-1's false-positive identification rate: the share of queries by
people who are not enrolled, impostors, that would match somebody. A query's score is its best over
the whole gallery, so the rate belongs to a gallery of a certain size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accesspoint.matching.calibration_report import (
    CalibrationReport,
    SchemeReport,
    report_points,
)
from accesspoint.matching.calibration_settings import CalibrationSettings
from accesspoint.matching.policy import FEATURES, MatchPolicy, Point, Table
from accesspoint.matching.rates import people_needed, smallest_rate, threshold_for
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


@dataclass(frozen=True)
class Calibration:
    """A policy, and the measurements that it rests on."""

    policy: MatchPolicy
    report: CalibrationReport


def senders(schemes: Sequence[Scheme], seed: int) -> dict[str, tuple[str, Sender]]:
    """Returns how queries reach the gallery: raw features, and each scheme over its usual link.

    By scheme id, each (link, sender); the link of raw features is empty.
    """
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
    """Calibrates a policy. ``ways``: by scheme id, as :func:`senders` makes them.

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
    grids = {
        scheme_id: snrs_db if link else (DIRECT_SNR_DB,) for scheme_id, (link, _) in ways.items()
    }
    entries, max_queries = len(enrolled.features), settings.max_queries
    progress = _Progress(
        tick, sum(count_steps(entries, len(grid), max_queries) for grid in grids.values())
    )
    for scheme_id, (link, sender) in ways.items():
        trials = run_trials(
            enrolled, sender, grids[scheme_id], max_queries, settings.seed, progress.advance
        )
        points = _thresholds(trials, settings)
        if points:
            tables[scheme_id] = Table(points=tuple(points))
        reports.append(
            SchemeReport(
                scheme_id=scheme_id,
                link=link,
                queries=len(trials.people),
                points=tuple(report_points(trials, points, settings)),
            )
        )
    raw = tables.get(FEATURES)
    policy = MatchPolicy(
        **{name: getattr(settings, name) for name in _POLICY_FIELDS},
        subjects=subjects,
        near_duplicate=raw.points[0].threshold if raw else None,
        schemes=tables,
    )
    report = CalibrationReport(
        settings=settings, subjects=subjects, entries=entries, schemes=tuple(reports)
    )
    return Calibration(policy, report)


class _Progress:
    """Sum of steps done, passed on to a tick."""

    def __init__(self, tick: Callable[[int, int], None], total: int) -> None:
        self._tick, self._done, self._total = tick, 0, total

    def advance(self, steps: int) -> None:
        self._done += steps
        self._tick(self._done, self._total)


_POLICY_FIELDS = ("false_match_rate", "review_rate", "confidence", "margin", "min_subjects")


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
    """Finds points by rising SNR, none below the one before.

    SNRs at which too few queries arrive are left out.
    """
    points: list[Point] = []
    for snr_db, scores in zip(trials.snrs_db, trials.impostor, strict=True):
        arrived = ~np.isnan(scores)
        impostors = scores[arrived].astype(np.float64), trials.people[arrived]
        threshold = threshold_for(*impostors, settings.false_match_rate, settings.confidence)
        review = threshold_for(*impostors, settings.review_rate, settings.confidence)
        if threshold is None or review is None:
            continue
        if points:
            threshold = max(threshold, points[-1].threshold)
            review = max(review, points[-1].review_threshold)
        points.append(Point(snr_db=snr_db, threshold=threshold, review_threshold=review))
    return points
