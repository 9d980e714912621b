"""A camera's memory of reports on its link: what is said, how old it is, how blocks fared."""

from __future__ import annotations

import math

import pytest

from airreid.link_report import LinkReport, ReportedLink, choice_bits
from airreid.v1 import uplink_pb2


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def answer(
    snr_db: float | None = None, spread_db: float = 0.0, **fields: object
) -> uplink_pb2.QueryResponse:
    response = uplink_pb2.QueryResponse(**fields)  # type: ignore[arg-type]
    if snr_db is not None:
        response.link_report.snr_db, response.link_report.spread_db = snr_db, spread_db
    return response


def test_the_latest_report_holds_for_a_minute() -> None:
    clock = Clock()
    link = ReportedLink(clock=clock)
    assert link.latest() == LinkReport()
    link.heard(answer(3.5, 1.0, first_uses=32, fixed_uses=96))
    assert link.latest() == LinkReport(3.5, 1.0, 32, 96)
    clock.now = 59.0
    link.heard(answer())  # says nothing: the report grows old all the same
    assert link.latest().snr_db == 3.5
    clock.now = 61.0
    assert link.latest() == LinkReport()
    link.heard(answer(fixed_uses=64))  # an access point of before reports
    assert link.latest() == LinkReport(None, 0.0, 0, 64)


def test_what_a_report_leaves_out_stays_as_it_was() -> None:
    link = ReportedLink(clock=Clock())
    link.heard(answer(2.0, 0.5, first_uses=32, fixed_uses=96))
    link.heard(answer(4.0, 0.0))
    assert link.latest() == LinkReport(4.0, 0.0, 32, 96)
    link.heard(answer(first_uses=64))
    assert link.latest() == LinkReport(4.0, 0.0, 64, 96)


def test_an_answer_of_before_brings_no_news() -> None:
    clock = Clock()
    link = ReportedLink(clock=clock)
    link.heard(answer(2.0, first_uses=32))
    clock.now = 50.0
    link.heard(answer(9.0, first_uses=256, repeated_answer=True))
    assert link.latest() == LinkReport(2.0, 0.0, 32, 0)
    clock.now = 61.0
    assert link.latest() == LinkReport()


@pytest.mark.parametrize(
    ("snr_db", "spread_db"),
    [(math.nan, 0.0), (math.inf, 0.0), (1, math.nan), (1e38, 0.0), (-61.0, 0.0), (1, 1e38)],
)
def test_a_report_that_no_link_has_says_nothing(snr_db: float, spread_db: float) -> None:
    link = ReportedLink(clock=Clock())
    link.heard(answer(2.0))
    link.heard(answer(snr_db, spread_db))
    assert link.latest().snr_db == 2.0
    link.heard(answer(5.0, -3.0))
    assert link.latest() == LinkReport(5.0, 0.0)


def test_lost_blocks_lower_the_snr_until_as_few_are_lost_as_wanted() -> None:
    link = ReportedLink(target_outage=0.1, clock=Clock())
    link.heard(answer(10.0))
    lost, arrived = answer(link="coded", outage=True), answer(link="coded")
    link.heard(arrived)
    assert link.latest().snr_db == 10.0  # no better than it was reported
    link.heard(lost)
    link.heard(lost)
    assert link.latest().snr_db == 9.0
    for _ in range(9):
        link.heard(arrived)
    assert link.latest().snr_db == pytest.approx(9.5)
    link.heard(answer(link="coded", outage=True, repeated_answer=True))
    link.heard(answer(link="analog", outage=True))
    link.heard(answer(link="coded", more_wanted=32, uses_heard=64))
    link.heard(answer(link="coded", outage=True, uses_heard=256))
    assert link.latest().snr_db == pytest.approx(9.5)
    for _ in range(100):
        link.heard(lost)
    assert link.latest().snr_db == 0.0  # ten decibels at most


@pytest.mark.parametrize(("count", "bits"), [(1, 0), (2, 1), (5, 3), (8, 3), (9, 4)])
def test_a_choice_costs_the_bits_that_name_it(count: int, bits: int) -> None:
    assert choice_bits(count) == bits
