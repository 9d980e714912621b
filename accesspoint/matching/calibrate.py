"""Calibration: thresholds for a stated false-match rate, per scheme and SNR.

The rate is ISO/IEC 19795-1's false-positive identification rate: the share of queries by
people who are not enrolled, impostors, that would match somebody. A query's score is its best over
the whole gallery, so the rate belongs to a gallery of a certain size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accesspoint.matching.calibration_report import (
    CalibrationReport,
    LeftOutSubject,
    SchemeReport,
    TradeOff,
    report_points,
)
from accesspoint.matching.calibration_settings import CalibrationSettings
from accesspoint.matching.duplicate_subjects import duplicate_subjects, without
from accesspoint.matching.policy import FEATURES, MatchPolicy, Point, Table
from accesspoint.matching.rates import people_needed, smallest_rate, threshold_for
from accesspoint.matching.stopping_fit import fit_stopping
from accesspoint.matching.trials import (
    Direct,
    Enrolled,
    OverTheAir,
    PrefixOverTheAir,
    Sender,
    Trials,
    count_steps,
    run_trials,
)
from airreid.errors import InputError
from airreid.nested.pieces import part_name, prefixes
from airreid.nested.stopping import StoppingRule
from airreid.scheme import DIRECT_SNR_DB, Scheme, links_of
from airreid.scheme_info import NestedInfo


@dataclass(frozen=True)
class Calibration:
    """A policy, and the measurements that it rests on."""

    policy: MatchPolicy
    report: CalibrationReport


def senders(schemes: Sequence[Scheme], seed: int) -> dict[str, tuple[str, Sender]]:
    """Returns how queries reach the gallery: raw features, and each scheme over its usual link.

    By scheme id, each (link, sender); the link of raw features is empty. The first pieces of a
    nested scheme have ways of their own, ``SCHEME@USES``.
    """
    ways: dict[str, tuple[str, Sender]] = {FEATURES: ("", Direct())}
    for scheme in schemes:
        link = links_of(scheme.info)[0]
        ways[scheme.info.id] = (link, OverTheAir(scheme, link, seed))
        if isinstance(scheme.info, NestedInfo):
            for uses in prefixes(scheme.info.bandwidth, scheme.info.piece)[:-1]:
                sender = PrefixOverTheAir(scheme, uses, seed)
                ways[part_name(scheme.info.id, uses)] = (link, sender)
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

    Of two subjects that look like one person one is left out, and so are schemes that recognise
    too few of the known people; the report names them. A nested scheme gets a stopping rule where
    enough people were seen by two cameras.

    Raises :class:`InputError` for a gallery that is too small for the stated rates, with
    the smallest rate that it can vouch for, and for rates out of order.
    """
    twins = duplicate_subjects(enrolled, settings.max_queries, settings.seed)
    enrolled = without(enrolled, [pair.left_out for pair in twins])
    subjects, cameras = len(set(enrolled.subjects)), len(set(enrolled.cameras))
    check_enough(subjects, cameras, settings)
    tables: dict[str, Table] = {}
    rules: dict[str, StoppingRule] = {}
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
            enrolled,
            sender,
            grids[scheme_id],
            max_queries,
            settings.seed,
            progress.advance,
            settings.new_cameras,
        )
        points = _thresholds(trials, settings)
        whole = sender.scheme if type(sender) is OverTheAir else None
        fitted = None if whole is None else fit_stopping(enrolled, whole, settings.seed)
        if fitted is not None:
            rules[scheme_id] = fitted[0]
        if points:
            tables[scheme_id] = Table(points=tuple(points))
        reports.append(
            SchemeReport(
                scheme_id=scheme_id,
                link=link,
                queries=len(trials.people),
                points=tuple(report_points(trials, points, settings)),
                stopping=None if fitted is None else fitted[1],
                trade_offs=tuple(_trade_offs(trials, settings)),
            )
        )
    nobody = [report.scheme_id for report in reports if _recognises_nobody(report, settings)]
    raw = tables.get(FEATURES)
    policy = MatchPolicy(
        **{name: getattr(settings, name) for name in _POLICY_FIELDS},
        subjects=subjects,
        near_duplicate=raw.points[0].threshold if raw else None,
        schemes={name: table for name, table in tables.items() if name not in nobody},
        stopping={name: rule for name, rule in rules.items() if name not in nobody},
    )
    report = CalibrationReport(
        settings=settings,
        subjects=subjects,
        entries=entries,
        cameras=cameras,
        schemes=tuple(reports),
        left_out=tuple(
            LeftOutSubject(subject=pair.left_out, like=pair.like, cosine=pair.cosine)
            for pair in twins
        ),
        recognise_nobody=tuple(nobody),
    )
    return Calibration(policy, report)


NO_ENTRIES = "the gallery has no entries to calibrate with; enrol people first"


class _Progress:
    """Sum of steps done, passed on to a tick."""

    def __init__(self, tick: Callable[[int, int], None], total: int) -> None:
        self._tick, self._done, self._total = tick, 0, total

    def advance(self, steps: int) -> None:
        self._done += steps
        self._tick(self._done, self._total)


TRADE_OFF_RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
"""False-match rates whose cost is reported beside that of the stated one."""
_POLICY_FIELDS = ("false_match_rate", "review_rate", "confidence", "margin", "min_subjects")


def _recognises_nobody(report: SchemeReport, settings: CalibrationSettings) -> bool:
    rate = report.best_true_match_rate
    return rate is not None and rate < settings.min_true_match_rate


def _trade_offs(trials: Trials, settings: CalibrationSettings) -> Iterator[TradeOff]:
    """Measures what other false-match rates would cost, at three of the SNRs."""
    snrs_db = trials.snrs_db
    shown = {snrs_db[0], min(snrs_db, key=abs), snrs_db[-1]}
    for rate in sorted({*TRADE_OFF_RATES, settings.false_match_rate}):
        review_rate = max(rate, settings.review_rate)
        at_rate = settings.model_copy(update={"false_match_rate": rate, "review_rate": review_rate})
        needed = people_needed(rate, settings.confidence)
        for point in report_points(trials, _thresholds(trials, at_rate), at_rate):
            if point.snr_db in shown:
                yield TradeOff(
                    false_match_rate=rate,
                    snr_db=point.snr_db,
                    threshold=point.threshold,
                    subjects_needed=needed,
                    true_match_rate=point.true_match_rate,
                    true_match_low=point.true_match_low,
                    true_match_high=point.true_match_high,
                )


def check_enough(subjects: int, cameras: int, settings: CalibrationSettings) -> None:
    """Checks that so many subjects, from so many cameras, can be calibrated with.

    Raises :class:`InputError` that says what is missing. The one rule, for :func:`calibrate` and
    for whoever asks beforehand.
    """
    if not subjects:
        raise InputError(NO_ENTRIES)
    if settings.new_cameras and cameras < 2:
        raise InputError(
            "new_cameras: everybody was enrolled from one camera, so no query can come from "
            "another; enrol people from two cameras, or leave it out"
        )
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
        reached = np.maximum(scores[arrived].astype(np.float64), -1.0)  # who meets nobody: -inf
        impostors = reached, trials.people[arrived]
        threshold = threshold_for(*impostors, settings.false_match_rate, settings.confidence)
        review = threshold_for(*impostors, settings.review_rate, settings.confidence)
        if threshold is None or review is None:
            continue
        if points:
            threshold = max(threshold, points[-1].threshold)
            review = max(review, points[-1].review_threshold)
        points.append(Point(snr_db=snr_db, threshold=threshold, review_threshold=review))
    return points
