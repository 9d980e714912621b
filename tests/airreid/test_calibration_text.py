"""A calibration's report says what a rule saves, and what the names in its tables mean."""

from __future__ import annotations

from typing import Any

import pytest

from airreid import calibration_text


def report(stopping: dict[str, Any] | None) -> dict[str, Any]:
    bare: dict[str, Any] = {"trade_offs": [], "points": [], "stopping": None}
    names = ("features", "jscc-nested-64", "jscc-nested-64@32")
    schemes = [bare | {"scheme_id": name} for name in names]
    schemes[1]["stopping"] = stopping
    return {
        "settings": {"false_match_rate": 0.1, "confidence": 0.95, "min_true_match_rate": 0.05},
        "subjects": 60,
        "cameras": 2,
        "schemes": schemes,
        "left_out": [],
        "recognise_nobody": [],
    }


RULE: dict[str, Any] = {
    "people": 60,
    "queries": 120,
    "stated": [0.55, 0.98],
    "observed": [0.5, 0.99],
    "blocks": [10, 90],
    "error": 0.014,
}


def test_a_rule_says_what_it_saves(capsys: pytest.CaptureFixture[str]) -> None:
    saving = {"snr_db": 5.0, "uses": 41.6, "top1": 0.895, "whole_top1": 0.9}
    calibration_text.show(
        report(RULE | {"bandwidth": 64, "accepted_loss": 0.005, "savings": [saving]})
    )
    output = capsys.readouterr().out
    assert "jscc-nested-64 in pieces until enough was heard, accepted loss 0.005" in output
    [row] = [line for line in output.splitlines() if "65%" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "5",
        "42",
        "65%",
        "0.895",
        "0.900",
    ]
    assert "no stopping rule" not in output


def test_an_earlier_report_has_no_savings(capsys: pytest.CaptureFixture[str]) -> None:
    calibration_text.show(report(RULE))
    output = capsys.readouterr().out
    assert "mean difference 0.014" in output
    assert "until enough was heard" not in output


def test_parts_and_a_missing_rule_are_explained() -> None:
    text = "\n".join(calibration_text.remarks(report(None)))
    assert "jscc-nested-64@N: for answers to the first N channel uses of a block (32)" in text
    assert "jscc-nested-64: no stopping rule was fitted" in text
    assert "features: no stopping rule" not in text
