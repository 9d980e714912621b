from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accesspoint.matching.policy import MatchPolicy, Point, Table, load_policy
from airreid.errors import InputError

TABLE = Table(
    points=(
        Point(snr_db=-5.0, threshold=0.5, review_threshold=0.4),
        Point(snr_db=0.0, threshold=0.9, review_threshold=0.45),
        Point(snr_db=10.0, threshold=0.7, review_threshold=0.5),
    )
)


def test_interpolates_between_points_and_stays_put_outside() -> None:
    assert TABLE.at(-2.5).threshold == pytest.approx(0.7)
    assert TABLE.at(-2.5).review_threshold == pytest.approx(0.425)
    assert TABLE.at(0.0).threshold == 0.9
    assert TABLE.at(60.0) == TABLE.points[-1]
    assert TABLE.at(math.inf) == TABLE.points[-1]


@pytest.mark.parametrize("snr_db", [-5.001, -60.0, -math.inf, math.nan])
def test_below_what_was_measured_the_strictest_holds(snr_db: float) -> None:
    assert (TABLE.at(snr_db).threshold, TABLE.at(snr_db).review_threshold) == (0.9, 0.5)


@settings(deadline=None)
@given(st.floats())
def test_any_snr_has_thresholds_in_order_and_within_the_table(snr_db: float) -> None:
    point = TABLE.at(snr_db)
    assert 0.4 <= point.review_threshold <= point.threshold <= 0.9


def test_json_round_trip() -> None:
    policy = MatchPolicy(false_match_rate=0.02, subjects=300, schemes={"jscc-ae-256": TABLE})
    assert load_policy(policy.model_dump_json()) == policy
    assert load_policy(None) == load_policy("") == MatchPolicy()


def test_the_review_threshold_is_lower_in_json_and_read_by_either_name() -> None:
    document = {"snr_db": 0.0, "threshold": 0.9, "lower": 0.5}
    point = Point(snr_db=0.0, threshold=0.9, review_threshold=0.5)
    written = json.loads(MatchPolicy(schemes={"s": Table(points=(point,))}).model_dump_json())
    assert written["schemes"]["s"]["points"] == [document]
    assert Point.model_validate(document) == point
    assert point.model_dump() == document


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"false_match_rate": 0}, "false_match_rate"),
        ({"false_match_rate": "NaN"}, "false_match_rate"),
        ({"review_rate": 0.001}, "review_rate must not be below"),
        ({"surprise": 1}, "surprise"),
        ({"version": 2}, "version"),
        ({"subjects": int("9" * 4000)}, "subjects"),
        ({"min_subjects": int("9" * 4000)}, "min_subjects"),
        ({"schemes": {"s": {"points": []}}}, "schemes.s.points"),
        ({"schemes": {"s": {"points": [{"snr_db": 0, "threshold": 0.1, "lower": 0.2}]}}}, "lower"),
        (
            {"schemes": {"s": {"points": [{"snr_db": 0, "threshold": 0.1, "lower": 0.1}] * 2}}},
            "rising snr_db",
        ),
    ],
)
def test_a_wrong_document_names_the_field(change: dict[str, object], where: str) -> None:
    with pytest.raises(InputError, match="match policy: ") as caught:
        load_policy(json.dumps(change))
    assert where in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_json() -> None:
    with pytest.raises(InputError, match="match policy: document: Invalid JSON"):
        load_policy("{")


def test_the_rate_grows_with_the_gallery() -> None:
    policy = MatchPolicy(false_match_rate=0.01, subjects=100)
    assert policy.rate_with(100) == pytest.approx(0.01)
    assert policy.rate_with(1000) == pytest.approx(1 - 0.99**10)
    assert policy.rate_with(0) == 0.0
    assert math.isnan(MatchPolicy().rate_with(100))
