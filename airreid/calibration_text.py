"""Report of a calibration as tables and sentences for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airreid.console import print_table, say


def show(report: Mapping[str, Any]) -> None:
    """Prints what other false-match rates cost, then the thresholds, then what to know."""
    stated = report["settings"]["false_match_rate"]
    confidence = report["settings"]["confidence"]
    print_table(
        ("scheme", "false matches", "SNR dB", "match from", f"true matches ({confidence:.0%})"),
        [
            (
                scheme["scheme_id"],
                f"{row['false_match_rate']:g}{' *' if row['false_match_rate'] == stated else ''}",
                f"{row['snr_db']:g}",
                _figure(row["threshold"]),
                _interval(row),
            )
            for scheme in report["schemes"]
            for row in scheme["trade_offs"]
        ],
        title=f"What a false-match rate costs (* stated; {report['subjects']} subjects)",
    )
    print_table(
        ("scheme", "SNR dB", "match from", "unknown below", "impostors", "true matches"),
        [
            (
                scheme["scheme_id"],
                f"{point['snr_db']:g}",
                _figure(point["threshold"]),
                _figure(point["lower"]),
                point["strangers"],
                _figure(point["true_match_rate"]),
            )
            for scheme in report["schemes"]
            for point in scheme["points"]
        ],
        title=f"Thresholds for a false-match rate of {stated:g}",
    )
    _show_reliability(report)
    for line in remarks(report):
        say(line)


def _show_reliability(report: Mapping[str, Any]) -> None:
    """Prints how far the probabilities of each fitted stopping rule came true."""
    for scheme in report["schemes"]:
        rule = scheme.get("stopping")
        if rule is None:
            continue
        bins = zip(rule["stated"], rule["observed"], rule["blocks"], strict=True)
        print_table(
            ("right, as stated", "right", "blocks"),
            [
                (_figure(stated), _figure(observed), blocks)
                for stated, observed, blocks in bins
                if blocks
            ],
            title=f"{scheme['scheme_id']} after each piece: {rule['queries']} queries of "
            f"{rule['people']} people by two cameras; mean difference {rule['error']:.3f}",
        )


def remarks(report: Mapping[str, Any]) -> list[str]:
    """Says what a reader of the tables must know."""
    lines = []
    points = [point for scheme in report["schemes"] for point in scheme["points"]]
    if not any(point["known"] for point in points):
        reason = "nobody was enrolled from two cameras"
        if report["cameras"] == 1:
            reason = "everybody was enrolled from one camera"
        lines.append(
            f"true matches are not known (–): {reason}, and only a person whom another camera "
            "has seen tells how many are recognised; with these thresholds every query by another "
            "camera may be unknown. Enrol some people from two cameras and calibrate again, with "
            "--new-cameras if queries come from cameras that nobody is enrolled from"
        )
    lines += [
        f"left out: {pair['subject']} looks like {pair['like']} (cosine {pair['cosine']:.3f}); "
        f"if they are one person, 'airreid gallery merge {pair['subject']} {pair['like']}'"
        for pair in report["left_out"]
    ]
    if report["recognise_nobody"]:
        least = report["settings"]["min_true_match_rate"]
        lines.append(
            f"left out: {', '.join(report['recognise_nobody'])}: below {least:.0%} true matches "
            "at every SNR"
        )
    return lines


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(row: Mapping[str, Any]) -> str:
    if row["threshold"] is None:
        return f"needs {row['subjects_needed']} subjects"
    if row["true_match_rate"] is None:
        return "–"
    return (
        f"{row['true_match_rate']:.3f} "
        f"({row['true_match_low']:.3f} to {row['true_match_high']:.3f})"
    )
