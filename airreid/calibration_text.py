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
    _show_stopping(report)
    for line in remarks(report):
        say(line)


def _show_stopping(report: Mapping[str, Any]) -> None:
    """Prints what each fitted stopping rule saves, and how far its probabilities came true."""
    for scheme in report["schemes"]:
        rule = scheme.get("stopping")
        if rule is None:
            continue
        heard_by = f"{rule['queries']} queries of {rule['people']} people by two cameras"
        if savings := rule.get("savings"):
            uses = f"uses of {rule['bandwidth']}, mean"
            print_table(
                ("SNR dB", uses, "share", "top-1", f"top-1, all {rule['bandwidth']}"),
                [
                    (
                        f"{saving['snr_db']:g}",
                        f"{saving['uses']:.0f}",
                        f"{saving['uses'] / rule['bandwidth']:.0%}",
                        _figure(saving["top1"]),
                        _figure(saving["whole_top1"]),
                    )
                    for saving in savings
                ],
                title=f"{scheme['scheme_id']} in pieces until enough was heard, accepted loss "
                f"{rule['accepted_loss']:g}: fitted on {heard_by}",
            )
        bins = zip(rule["stated"], rule["observed"], rule["blocks"], strict=True)
        print_table(
            ("stated", "came true", "times"),
            [
                (_figure(stated), _figure(observed), blocks)
                for stated, observed, blocks in bins
                if blocks
            ],
            title=f"{scheme['scheme_id']} after each piece: the chance that the nearest is right, "
            f"as the rule states it; mean difference {rule['error']:.3f}",
        )


def remarks(report: Mapping[str, Any]) -> list[str]:
    """Says what a reader of the tables must know."""
    lines = []
    names = [scheme["scheme_id"].partition("@") for scheme in report["schemes"]]
    in_parts = dict.fromkeys(name for name, _, uses in names if uses)
    for name in in_parts:
        parts = ", ".join(uses for other, _, uses in names if other == name and uses)
        lines.append(f"{name}@N: for answers to the first N channel uses of a block ({parts})")
    lines += [
        f"{scheme['scheme_id']}: no stopping rule was fitted, which takes 50 people by two "
        "cameras; the bundle's, if any, says when enough was heard"
        for scheme in report["schemes"]
        if scheme["scheme_id"] in in_parts and not scheme.get("stopping")
    ]
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
