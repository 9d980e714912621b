"""Report of a simulation: intervals in the picture, and answers that need no colour to be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airreid.bundle import Bundle
from airreid.payload import Link
from airreid.scheme import links_of
from simulation.cli import _quick_schemes, _table
from simulation.people import synthetic
from simulation.plan import SimulationResult, SweepPoint
from simulation.report import draw_answers, draw_curve

SNRS_DB = (-5.0, 5.0)
CURVES: tuple[tuple[str, Link], ...] = (
    ("jscc-ae-256", "analog"),
    ("digital-256", "ideal"),
    ("digital-256", "coded"),
)


def point(scheme: str, link: Link, snr_db: float) -> SweepPoint:
    values = dict.fromkeys(SweepPoint.__dataclass_fields__, 1)
    values |= {"scheme": scheme, "link": link, "snr_db": snr_db}  # type: ignore[dict-item]
    values |= {"top1": 0.8, "top1_low": 0.7, "top1_high": 0.9}  # type: ignore[dict-item]
    return SweepPoint(**values)  # type: ignore[arg-type]


@pytest.fixture
def result() -> SimulationResult:
    points = [point(scheme, link, snr) for scheme, link in CURVES for snr in SNRS_DB]
    right, wrong = [0, 2, 4, 6, 1, 3, 5, 7], [2, 0, 4, 6, 1, 3, 5, 7]
    order = np.array([right] * 6 + [wrong] * 6)
    rankings = {(p.scheme, p.link, p.snr_db): order for p in points}
    return SimulationResult(points, 0.95, 10.0, rankings)


def test_quick_has_three_curves(bundle: Bundle) -> None:
    infos = [bundle.scheme(scheme_id) for scheme_id in _quick_schemes(bundle)]
    curves = [(info.id, link) for info in infos for link in links_of(info)]
    assert {link for _, link in curves} == {"analog", "ideal", "coded"}
    assert len(curves) == 3
    assert len({info.bandwidth for info in infos}) == 1


def test_every_curve_has_its_intervals_and_a_plain_label(
    tmp_path: Path, result: SimulationResult
) -> None:
    people = synthetic(2, tmp_path / "people")
    paths = draw_curve(tmp_path / "accuracy.png", people, result)
    assert [path.suffix for path in paths] == [".png", ".svg", ".pdf"]
    drawn = paths[1].read_text(encoding="utf-8")
    intervals = drawn[: drawn.index("legend_")].count("LineCollection_")
    assert intervals == len(CURVES)
    for label in ("jscc-ae-256", "digital-256, ideal link", "digital-256, coded link"):
        assert f">{label}<" in drawn
    assert ">plain features, without code or channel<" in drawn
    assert ">top-1, with 95 % interval<" in drawn


def test_the_table_has_the_intervals(result: SimulationResult) -> None:
    head, *rows = _table(result)
    assert head.split()[4:6] == ["top-1", "95"]
    assert len(rows) == len(CURVES) * len(SNRS_DB)
    assert all(" 0.800 .700-.900 " in row for row in rows)


def test_right_and_wrong_answers_differ_without_colours(
    tmp_path: Path, result: SimulationResult
) -> None:
    people = synthetic(4, tmp_path / "people")
    assert [crop.identity for crop in people.gallery[:2]] == ["person-0000"] * 2
    draw_answers(tmp_path / "answers.png", people, result, rows=12, top=1)
    sheet = np.asarray(Image.open(tmp_path / "answers.png").convert("RGB")).astype(int)
    marks = set()
    for row in range(12):  # of the first answer: white strokes in its upper left corner
        y, x = 26 + row * (128 + 6), 26 + 64 + 3 * 6
        marks.add((sheet[y : y + 16, x : x + 16].min(axis=2) > 200).tobytes())
    assert len(marks) == 2
