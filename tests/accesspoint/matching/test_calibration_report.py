"""The report counts as matches what a served decision calls a match, ties included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accesspoint.matching.calibration_report import PointReport, report_points
from accesspoint.matching.calibration_settings import CalibrationSettings
from accesspoint.matching.decision import NO_SECOND, decide, matches
from accesspoint.matching.policy import MatchPolicy, Point, Table
from accesspoint.matching.rates import mean_share
from accesspoint.matching.trials import Trials

SNR_DB = 5.0
GRID = [-1.0, -0.5, 0.0, 0.5, float(np.nextafter(np.float32(0.5), np.float32(1))), 0.75, 1.0]
"""Few values, so that ties and scores just at a threshold are common; two are neighbours."""
SCORE = st.one_of(st.sampled_from(GRID), st.floats(-1, 1, width=32))
PERHAPS = st.one_of(st.just(-np.inf), SCORE)
LEVEL = st.one_of(st.sampled_from(GRID), st.floats(-1, 1))
MARGIN = st.one_of(st.sampled_from([0.0, 1e-12, 0.25, 0.5, 2.0]), st.floats(0, 2))


@st.composite
def queries(draw: st.DrawFn) -> Trials:
    """Queries at one SNR, of which some are lost, by a few people."""
    count = draw(st.integers(1, 12))
    rows = [
        (draw(SCORE), draw(PERHAPS), draw(PERHAPS), draw(st.booleans()), draw(st.integers(0, 3)))
        for _ in range(count)
    ]
    impostor, second, genuine = (np.array([[row[i] for row in rows]], np.float32) for i in range(3))
    second = np.minimum(second, impostor)
    lost = np.array([[row[3] for row in rows]])
    for scores in (impostor, second, genuine):
        scores[lost] = np.nan
    people = np.array([row[4] for row in rows], np.int64)
    return Trials((SNR_DB,), people, impostor, second, genuine)


def ranked(trials: Trials, query: int) -> list[tuple[str, float]]:
    """Ranks as the gallery would have: nobody is named who has no entry."""
    columns = (trials.impostor, trials.second_impostor, trials.genuine)
    named = zip(("other", "third", "self"), (float(c[0, query]) for c in columns), strict=True)
    return [(name, score) for name, score in named if np.isfinite(score)]


@settings(deadline=None, max_examples=400)
@given(queries(), LEVEL, LEVEL, MARGIN)
def test_report_and_served_decision_agree(
    trials: Trials, level: float, other_level: float, margin: float
) -> None:
    review, threshold = sorted((level, other_level))
    point = Point(snr_db=SNR_DB, threshold=threshold, review_threshold=review)
    policy = MatchPolicy(margin=margin, schemes={"s": Table(points=(point,))})
    [report] = report_points(trials, [point], CalibrationSettings(margin=margin))
    arrived = np.flatnonzero(~trials.lost[0])
    known = [query for query in arrived if np.isfinite(trials.genuine[0, query])]
    verdicts = [decide(ranked(trials, query), "s", SNR_DB, policy) for query in known]
    people = trials.people[np.array(known, dtype=np.int64)]
    for subject, rate in (("self", report.true_match_rate), ("other", report.wrong_match_rate)):
        hits = np.array([(v.kind, v.subject) == ("match", subject) for v in verdicts], dtype=bool)
        total, count = mean_share(hits, people)
        assert rate == (total / count if count else None)
    assert report.impostors == len(set(trials.people[arrived].tolist()))
    assert report.lost == float(trials.lost.mean())


@settings(deadline=None, max_examples=400)
@given(st.lists(st.tuples(SCORE, SCORE), min_size=1, max_size=20), LEVEL, MARGIN)
def test_the_rule_says_the_same_of_one_subject_as_of_many(
    pairs: list[tuple[float, float]], threshold: float, margin: float
) -> None:
    point = Point(snr_db=SNR_DB, threshold=threshold, review_threshold=-1.0)
    best, second = np.array(pairs).T
    together = matches(best, best - second, point, margin)
    for (score, rival), verdict in zip(pairs, together.tolist(), strict=True):
        by_hand = score >= threshold and score - rival >= margin and score > rival
        assert matches(score, score - rival, point, margin) is verdict is by_hand


def test_somebody_who_is_alone_leads_the_lowest_cosine() -> None:
    point = Point(snr_db=SNR_DB, threshold=0.5, review_threshold=0.5)
    for margin, kind in ((1.5, "match"), (1.75, "ambiguous")):
        policy = MatchPolicy(margin=margin, schemes={"s": Table(points=(point,))})
        decision = decide([("a", 0.5)], "s", SNR_DB, policy)
        assert (decision.kind, decision.margin) == (kind, 0.5 - NO_SECOND)


@pytest.mark.parametrize("names", [("lower", "strangers"), ("review_threshold", "impostors")])
def test_a_report_is_read_by_either_name_and_written_as_ever(names: tuple[str, str]) -> None:
    review, impostors = names
    values = {"snr_db": 0.0, "threshold": 0.5, review: 0.25, "lost": 0.0, impostors: 7}
    report = PointReport.model_validate(values)
    assert (report.review_threshold, report.impostors) == (0.25, 7)
    written = report.model_dump(exclude_none=True, exclude={"known"})
    assert written == {"snr_db": 0.0, "threshold": 0.5, "lower": 0.25, "lost": 0.0, "strangers": 7}
