"""The reliability diagram shows the report's numbers, and nothing where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airreid.calibration_figure import draw_reliability


def rule(shift: float) -> dict[str, Any]:
    stated = [0.05 + 0.1 * place for place in range(10)]
    return {
        "people": 60,
        "queries": 120,
        "stated": stated,
        "observed": [min(1.0, value + shift) for value in stated],
        "blocks": [0, *range(1, 10)],
        "bin_people": [0, *range(1, 10)],
        "error": shift,
    }


def test_each_rule_has_a_panel(tmp_path: Path) -> None:
    report = {
        "schemes": [
            {"scheme_id": "jscc-nested-64", "stopping": rule(0.02)},
            {"scheme_id": "jscc-fc-64", "stopping": None},
            {"scheme_id": "jscc-nested-256", "stopping": rule(0.123)},
        ]
    }
    files = draw_reliability(report, tmp_path / "figure.svg")
    assert [path.suffix for path in files] == [".png", ".svg", ".pdf"]
    text = (tmp_path / "figure.svg").read_text()
    assert "jscc-nested-64: mean difference 0.020" in text
    assert "jscc-nested-256: mean difference 0.123" in text
    assert "jscc-fc-64" not in text


def test_a_report_of_an_earlier_access_point_is_drawn(tmp_path: Path) -> None:
    earlier = rule(0.0)
    del earlier["bin_people"]
    report = {"schemes": [{"scheme_id": "jscc-nested-64", "stopping": earlier}]}
    assert len(draw_reliability(report, tmp_path / "figure")) == 3


def test_nothing_is_drawn_without_a_rule(tmp_path: Path) -> None:
    report = {"schemes": [{"scheme_id": "jscc-fc-64"}]}
    assert draw_reliability(report, tmp_path / "figure.svg") == []
    assert not list(tmp_path.iterdir())
