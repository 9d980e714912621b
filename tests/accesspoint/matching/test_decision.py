from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accesspoint.matching.decision import decide
from accesspoint.matching.policy import MatchPolicy, Point, Table

POLICY = MatchPolicy(
    margin=0.05,
    schemes={
        "s": Table(
            points=(
                Point(snr_db=-10.0, threshold=0.4, review_threshold=0.3),
                Point(snr_db=10.0, threshold=0.8, review_threshold=0.6),
            )
        )
    },
)
RANK = {"unknown": 0, "ambiguous": 1, "match": 2}
ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)
RANKED = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "é"]), ANY_FLOAT), max_size=6)


@pytest.mark.parametrize(
    ("ranked", "kind", "subject"),
    [
        ([("a", 0.9), ("b", 0.5)], "match", "a"),
        ([("a", 0.8), ("b", 0.5)], "match", "a"),
        ([("a", 0.9), ("b", 0.86)], "ambiguous", "a"),
        ([("b", 0.9), ("a", 0.9)], "ambiguous", "a"),
        ([("a", 0.79), ("b", 0.2)], "ambiguous", "a"),
        ([("a", 0.59), ("b", 0.2)], "unknown", ""),
        ([("a", 0.9), ("a", 0.89), ("b", 0.5)], "match", "a"),
        ([("b", 0.5), ("a", 0.9)], "match", "a"),
        ([("a", math.nan), ("b", 0.9)], "match", "b"),
        ([("a", math.inf)], "unknown", ""),
        ([("a", 0.9)], "match", "a"),
        ([], "unknown", ""),
    ],
)
def test_rules(ranked: list[tuple[str, float]], kind: str, subject: str) -> None:
    decision = decide(ranked, "s", 10.0, POLICY)
    assert (decision.kind, decision.subject) == (kind, subject)
    assert decision.threshold == 0.8
    assert decision.false_match_rate == POLICY.false_match_rate


def test_an_exact_tie_is_never_a_match_even_without_a_margin() -> None:
    policy = POLICY.model_copy(update={"margin": 0.0})
    assert decide([("a", 0.9), ("b", 0.9)], "s", 10.0, policy).kind == "ambiguous"
    assert decide([("a", 0.9), ("b", 0.899)], "s", 10.0, policy).kind == "match"


def test_nothing_is_decided_where_nothing_is_calibrated() -> None:
    decision = decide([("a", 0.99)], "other", 10.0, POLICY)
    assert (decision.kind, decision.subject) == ("unspecified", "")
    assert decide([("a", 1.0)], "s", 10.0, MatchPolicy()).kind == "unspecified"


def test_the_same_score_is_a_match_in_noise_and_unknown_without() -> None:
    assert decide([("a", 0.5)], "s", -10.0, POLICY).kind == "match"
    assert decide([("a", 0.5)], "s", 10.0, POLICY).kind == "unknown"
    # Nothing was measured below -10 dB: the strictest threshold holds.
    assert decide([("a", 0.5)], "s", -10.1, POLICY).kind == "unknown"


@settings(deadline=None)
@given(RANKED, st.sampled_from(["s", "features", ""]), ANY_FLOAT)
def test_total(ranked: list[tuple[str, float]], scheme_id: str, snr_db: float) -> None:
    decision = decide(ranked, scheme_id, snr_db, POLICY)
    assert math.isfinite(decision.threshold)
    assert math.isfinite(decision.margin) or max(abs(s) for _, s in ranked) > 1e300
    if decision.kind in ("match", "ambiguous"):
        finite = {name: s for name, s in ranked if math.isfinite(s)}
        assert decision.subject in finite
        best = max(s for _, s in ranked if math.isfinite(s))
        assert (decision.subject, best) in ranked
    else:
        assert decision.subject == ""


@settings(deadline=None)
@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=4),
    st.floats(0, 0.5),
    st.floats(-20, 20),
)
def test_a_higher_best_score_never_weakens_the_verdict(
    scores: list[float], gain: float, snr_db: float
) -> None:
    ranked = [(str(i), score) for i, score in enumerate(sorted(scores, reverse=True))]
    better = [(ranked[0][0], ranked[0][1] + gain), *ranked[1:]]
    before, after = decide(ranked, "s", snr_db, POLICY), decide(better, "s", snr_db, POLICY)
    assert RANK[after.kind] >= RANK[before.kind]


@settings(deadline=None)
@given(RANKED, st.floats(-20, 20), st.floats(0, 0.2), st.floats(0, 0.2))
def test_a_stricter_policy_never_strengthens_the_verdict(
    ranked: list[tuple[str, float]], snr_db: float, higher: float, wider: float
) -> None:
    points = tuple(
        Point(
            snr_db=p.snr_db,
            threshold=p.threshold + higher,
            review_threshold=p.review_threshold + higher,
        )
        for p in POLICY.schemes["s"].points
    )
    strict = MatchPolicy(margin=POLICY.margin + wider, schemes={"s": Table(points=points)})
    loose, tight = decide(ranked, "s", snr_db, POLICY), decide(ranked, "s", snr_db, strict)
    assert RANK[tight.kind] <= RANK[loose.kind]
