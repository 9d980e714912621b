"""Figures of a study, 4a to 4c or joint: curves with intervals, as SVG, PNG and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airreid.evaluation.study.anchors import RAW
from airreid.evaluation.study.table import FIXED, JOINT, MATCHED, RANGE, Entry, Table

BANDWIDTH = 256
"""The paper's bandwidth for Figures 4a and 4b."""
_BLACK, _ORANGE, _SKY, _GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
_YELLOW, _BLUE, _RED, _PINK = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
_GREY = "#7F7F7F"
"""Okabe and Ito's colours (2008), which colour-blind people tell apart."""


@dataclass(frozen=True)
class Line:
    """One curve of a figure: a scheme, how it was trained, and its looks."""

    scheme: str
    training: str
    label: str
    colour: str
    marker: str
    style: str = "-"


SCHEMES = (
    Line("ae-paper", MATCHED, "JSCC AE, L1 then cross-entropy (paper)", _BLUE, "o"),
    Line("ae-l1", MATCHED, "JSCC AE, L1 alone", _SKY, "o", "--"),
    Line("ae-retrieval", MATCHED, "JSCC AE, retrieval loss", _GREEN, "s"),
    Line("ae-linear", MATCHED, "JSCC AE, linear, retrieval loss", _GREEN, "D", "--"),
    Line("fc-paper", MATCHED, "JSCC FC, cross-entropy (paper)", _ORANGE, "^"),
    Line("fc-retrieval", MATCHED, "JSCC FC, retrieval loss", _RED, "v"),
    Line("nested", RANGE, "nested, one code for every B and SNR", _PINK, "P"),
    Line("discriminant", "", "discriminant", _BLACK, "x", "--"),
    Line("pca", "", "PCA", _BLACK, "+", ":"),
    Line("digital-ideal", MATCHED, "digital, code of capacity", _YELLOW, "*", ":"),
    Line("digital-finite", MATCHED, "digital, best code of the length", _YELLOW, "d", "--"),
    Line("digital-coded", MATCHED, "digital, polar code", _YELLOW, "X"),
    Line("pq-coded", MATCHED, "product quantisation, polar code", _PINK, "p", ":"),
    Line(RAW, "", "feature of 16-bit floats, polar code", _GREY, "h"),
    Line("image-jpeg", "", "JPEG of lowest rate, code of capacity", _GREY, "<", ":"),
    Line("image-webp", "", "WebP of lowest rate, code of capacity", _GREY, ">", "--"),
    Line("image-avif", "", "AVIF of lowest rate, code of capacity", _GREY, "1", "-"),
)
ONE_SNR = (
    Line("ae-paper", "-6", "JSCC AE (paper), trained at -6 dB", _SKY, "o"),
    Line("ae-paper", "0", "JSCC AE (paper), trained at 0 dB", _BLUE, "o"),
    Line("ae-paper", "10", "JSCC AE (paper), trained at 10 dB", _BLACK, "o"),
    Line("ae-paper", RANGE, "JSCC AE (paper), trained from -10 to 10 dB", _BLUE, "o", "--"),
    Line("fc-retrieval", "-6", "JSCC FC, retrieval, trained at -6 dB", _PINK, "v"),
    Line("fc-retrieval", "0", "JSCC FC, retrieval, trained at 0 dB", _RED, "v"),
    Line("fc-retrieval", "10", "JSCC FC, retrieval, trained at 10 dB", _ORANGE, "v"),
    Line("fc-retrieval", RANGE, "JSCC FC, retrieval, trained from -10 to 10 dB", _RED, "v", "--"),
    Line("nested", RANGE, "nested, trained from -10 to 10 dB", _GREEN, "P", "--"),
    Line("digital-coded", FIXED, "digital, polar code, rate for 0 dB", _YELLOW, "X"),
)
JOINTLY = (
    Line("joint-ae-paper", "0", "JSCC AE as in the paper, trained at 0 dB", _BLUE, "o"),
    Line("joint-ae-range", RANGE, "the same, trained from -10 to 10 dB", _SKY, "o", "--"),
    Line("joint-ae-retrieval", RANGE, "JSCC AE, retrieval loss", _GREEN, "s"),
    Line("joint-fc-paper", "0", "JSCC FC as in the paper, trained at 0 dB", _ORANGE, "^"),
    Line("joint-fc-retrieval", RANGE, "JSCC FC, retrieval loss", _RED, "v"),
    Line("joint-digital-paper", "", "digital as in the paper, polar code", _YELLOW, "X"),
    Line("joint-baseline-pca", "", "PCA, network trained without a channel", _BLACK, "x", "--"),
    Line("joint-fc-retrieval-pca", "", "PCA, network of JSCC FC, retrieval", _PINK, "P", ":"),
    Line("pca", "", "PCA, network as given", _BLACK, "+", ":"),
)
"""Curves of networks that were trained together with their codes."""
PANELS_4C = (-10.0, 0.0, 10.0)
"""SNRs of Figure 4c's panels, those of them that were measured."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes: lines with the entries at each x."""

    title: str
    lines: tuple[tuple[Line, tuple[tuple[float, Entry], ...]], ...]


def panels(figure: str, table: Table) -> list[Panel]:
    """Arranges Figure 4a, 4b, 4c or joint of the results that there are."""
    if figure == "joint":
        return [_against_snr(JOINTLY, table, width) for width in table.bandwidths[::-1]]
    if figure == "4c":
        snrs = [snr for snr in PANELS_4C if snr in table.snrs_db]
        return [Panel(f"{snr:g} dB", _against_bandwidth(table, snr)) for snr in snrs]
    lines = SCHEMES if figure == "4a" else ONE_SNR
    width = BANDWIDTH if BANDWIDTH in table.bandwidths else table.bandwidths[-1]
    return [_against_snr(lines, table, width)]


def figures_of(table: Table) -> tuple[str, ...]:
    """Returns the names of the figures that a study's results are drawn in."""
    if any(place.scheme.startswith(JOINT) for place in table.entries):
        return ("joint",)
    return ("4a", "4b", "4c")


def _against_snr(lines: Sequence[Line], table: Table, width: int) -> Panel:
    drawn = []
    for line in lines:
        uses = width
        if line.scheme == RAW and table.long_bandwidths:  # it fits no bandwidth of the others
            uses = table.long_bandwidths[-1]
            line = replace(line, label=f"{line.label}, B = {uses}")
        entries = tuple(
            (snr_db, entry)
            for snr_db in table.snrs_db
            if (entry := table.get(line.scheme, line.training, uses, snr_db)) is not None
        )
        if entries:
            drawn.append((line, entries))
    return Panel(f"B = {width}", tuple(drawn))


def _against_bandwidth(
    table: Table, snr_db: float
) -> tuple[tuple[Line, tuple[tuple[float, Entry], ...]], ...]:
    drawn = []
    for line in SCHEMES:
        entries = tuple(
            (float(width), entry)
            for width in (*table.bandwidths, *table.long_bandwidths)
            if (entry := table.get(line.scheme, line.training, width, snr_db)) is not None
        )
        if entries:
            drawn.append((line, entries))
    return tuple(drawn)


TITLES = {
    "4a": "Schemes against SNR, each trained for the SNR that it is tested at",
    "4b": "Trained at one SNR or over a range, tested at every SNR",
    "4c": "Top-1 against bandwidth",
    "joint": "Network and code trained together",
}


def write_figure(figure: str, table: Table, about: dict[str, Any], out: Path) -> list[Path]:
    """Writes ``FIGURE.svg``, ``.png`` and ``.json`` to a folder."""
    arranged = panels(figure, table)
    out.mkdir(parents=True, exist_ok=True)
    stored = {
        "figure": figure,
        "title": TITLES[figure],
        "interval": "95 %, over trainings and noise draws as crossed random effects",
        "study": about,
        "no_channel": {"top1": round(table.bound.top1.value, 5)},
        "panels": [
            {
                "title": panel.title,
                "curves": [_curve_json(line, entries) for line, entries in panel.lines],
            }
            for panel in arranged
        ],
        "cells": {
            name: {"key": cell.key, "device": cell.device, "versions": cell.versions}
            for name, cell in table.cells.items()
        },
    }
    path = out / f"{figure}.json"
    path.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    return [path, *_draw(figure, arranged, table, out)]


def _curve_json(line: Line, entries: Sequence[tuple[float, Entry]]) -> dict[str, Any]:
    return {
        "scheme": line.scheme,
        "training": line.training,
        "label": line.label,
        "x": [x for x, _ in entries],
        "top1": [round(entry.top1.value, 5) for _, entry in entries],
        "half_width": [_half(entry) for _, entry in entries],
        "trainings_and_draws": [list(entry.draws) for _, entry in entries],
        "bits": [entry.bits for _, entry in entries],
        "rate": [entry.rate for _, entry in entries],
        "measured_snr_db": [entry.point and entry.point.measured_snr_db for _, entry in entries],
        "power": [entry.point and entry.point.power for _, entry in entries],
        "map_first_draw": [entry.point and entry.point.map for _, entry in entries],
        "top1_each": [entry.point and entry.point.top1 for _, entry in entries],
    }


def _half(entry: Entry) -> float | None:
    half = entry.top1.half_width
    return None if math.isnan(half) else round(half, 5)


def _draw(figure: str, arranged: Sequence[Panel], table: Table, out: Path) -> list[Path]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "airreid", "font.size": 8}):
        drawn = Figure(figsize=(4.2 + 3.4 * len(arranged), 4.4), dpi=150, layout="constrained")
        axes = drawn.subplots(1, len(arranged), sharey=True, squeeze=False)[0]
        for place, (axis, panel) in enumerate(zip(axes, arranged, strict=True)):
            for line, entries in panel.lines:
                axis.errorbar(
                    [x for x, _ in entries],
                    [entry.top1.value for _, entry in entries],
                    [_half(entry) or 0.0 for _, entry in entries],
                    color=line.colour,
                    marker=line.marker,
                    linestyle=line.style,
                    markersize=4.5,
                    linewidth=1.2,
                    capsize=2,
                    label=line.label,
                )
            axis.axhline(
                table.bound.top1.value,
                color="grey",
                linewidth=1,
                linestyle="-.",
                label="no channel",
            )
            axis.set_title(panel.title, fontsize=8)
            axis.grid(alpha=0.25)
            if figure == "4c":
                axis.set_xscale("log", base=2)
                widths = sorted({int(x) for _, entries in panel.lines for x, _ in entries})
                axis.set_xticks(widths, [str(width) for width in widths])
                axis.set_xlabel("bandwidth B (real channel uses)")
            else:
                axis.set_xlabel("SNR per real channel use (dB)")
            if place == 0:
                axis.set_ylabel("top-1")
        axes[0].set_ylim(bottom=0)  # of all panels, once their curves are there
        axes[-1].legend(fontsize=6.5, loc="center left", bbox_to_anchor=(1.01, 0.5))
        title = TITLES[figure]
        drawn.suptitle(title if figure == "joint" else f"Figure {figure}: {title}", fontsize=9)
        paths = [out / f"{figure}.svg", out / f"{figure}.png"]
        drawn.savefig(paths[0], metadata={"Date": None})
        drawn.savefig(paths[1])
    return paths
