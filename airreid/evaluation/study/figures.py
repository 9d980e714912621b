"""Figures of a study, 4a to 4c, anchors or joint: curves with intervals, SVG, PNG and JSON."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from airreid.evaluation.interval import Mean
from airreid.evaluation.study.anchors import BLER, Anchor, anchors_of, finite_uses
from airreid.evaluation.study.cells import PEOPLE, Cell
from airreid.evaluation.study.looks import (
    ANCHORS,
    BESIDE_ANCHORS,
    JOINTLY,
    ONE_SNR,
    SCHEMES,
    Line,
)
from airreid.evaluation.study.results import shared_cell
from airreid.evaluation.study.table import JOINT, Entry, Table

BANDWIDTH = 256
"""The paper's bandwidth for Figures 4a and 4b."""
PANELS = (-10.0, 0.0, 10.0)
"""SNRs of the panels of Figure 4c and of the anchors, those of them that were measured."""
Points = tuple[tuple[float, Entry], ...]


@dataclass(frozen=True)
class Panel:
    """One pair of axes: lines with the entries at each x."""

    title: str
    lines: tuple[tuple[Line, Points], ...]


@dataclass(frozen=True)
class Figure:
    """One figure: its panels, and the axis that they share."""

    name: str
    title: str
    panels: tuple[Panel, ...]
    x_label: str = "SNR per real channel use (dB)"
    uses: bool = False
    """Whether x are channel uses, drawn by powers of two."""


def figures_of(table: Table) -> tuple[Figure, ...]:
    """Arranges the figures of a study, 4a to 4c and its anchors, or joint, that have a curve."""
    snrs = [snr for snr in PANELS if snr in table.snrs_db]
    if any(place.scheme.startswith(JOINT) for place in table.entries):
        both = [_against_snr(f"B = {b}", JOINTLY, table, b) for b in table.bandwidths[::-1]]
        return (Figure("joint", "Network and code trained together", tuple(both)),)
    width = BANDWIDTH if BANDWIDTH in table.bandwidths else table.bandwidths[-1]
    single = [_against_snr(title, lines, table, width) for title, lines in ONE_SNR.items()]
    beside = [
        Panel(f"{snr:g} dB", _against_uses(SCHEMES, table, snr, table.bandwidths)) for snr in snrs
    ]
    everything = (*table.bandwidths, *table.long_bandwidths)
    anchors = [
        Panel(
            f"{snr:g} dB",
            (*_against_uses(BESIDE_ANCHORS, table, snr, everything), *_anchors(table, snr)),
        )
        for snr in snrs
    ]
    figures = (
        Figure(
            "4a",
            f"Figure 4a: top-1 against SNR, B = {width}",
            (_against_snr("", SCHEMES, table, width),),
        ),
        Figure(
            "4b",
            f"Figure 4b: trained at one SNR or over a range, tested at every SNR, B = {width}",
            tuple(panel for panel in single if panel.lines),
        ),
        Figure("4c", "Figure 4c: top-1 against bandwidth", tuple(beside), _B, True),
        Figure(
            "anchors",
            "Messages of other kinds, in the uses that codes need for them",
            tuple(anchors),
            _B,
            True,
        ),
    )
    return tuple(figure for figure in figures if any(panel.lines for panel in figure.panels))


_B = "bandwidth B (real channel uses)"
_TICKS = (16, 64, 256, 1024, 4096, 16384, 65536)


def _against_snr(title: str, lines: Sequence[Line], table: Table, width: int) -> Panel:
    drawn = []
    for line in lines:
        entries = tuple(
            (snr_db, entry)
            for snr_db in table.snrs_db
            if (entry := table.get(line.scheme, line.training, width, snr_db)) is not None
        )
        if entries:
            drawn.append((line, entries))
    return Panel(title, tuple(drawn))


def _against_uses(
    lines: Sequence[Line], table: Table, snr_db: float, widths: Sequence[int]
) -> tuple[tuple[Line, Points], ...]:
    drawn = []
    for line in lines:
        entries = tuple(
            (float(width), entry)
            for width in widths
            if (entry := table.get(line.scheme, line.training, width, snr_db)) is not None
        )
        if entries:
            drawn.append((line, entries))
    return tuple(drawn)


def _anchors(table: Table, snr_db: float) -> tuple[tuple[Line, Points], ...]:
    """Places each anchor at the uses in which the best code of that length carries it."""
    drawn = []
    for line in ANCHORS:
        points = tuple(
            (float(finite_uses(anchor.bits, snr_db)), _entry_of(anchor))
            for anchor in anchors_of(table.cells, table.published.anchors)
            if anchor.name.startswith(line.scheme)
        )
        if points:
            drawn.append((line, points))
    return tuple(drawn)


def _entry_of(anchor: Anchor) -> Entry:
    top1 = Mean((1.0 - BLER) * anchor.top1, math.nan)
    return Entry(np.empty((1, 0)), top1, (anchor.trainings, 0), anchor.bits)


def write_figure(figure: Figure, table: Table, about: dict[str, Any], out: Path) -> list[Path]:
    """Writes ``NAME.json``, ``.svg`` and ``.png`` to a folder."""
    out.mkdir(parents=True, exist_ok=True)
    stored = {
        "figure": figure.name,
        "title": figure.title,
        "interval": "95 %, over trainings and noise draws as crossed random effects",
        "noise": "link 'offline', query i is block i; draws are seeds from 0 on, the same for all",
        "study": about,
        "no_channel": {"top1": round(table.bound.top1.value, 5)},
        "not_finished": list(table.missing),
        "panels": [
            {
                "title": panel.title,
                "curves": [_curve_json(figure, line, entries) for line, entries in panel.lines],
            }
            for panel in figure.panels
        ],
        "cells": dict(
            sorted(
                {
                    **table.published.cells,
                    **{name: _cell_json(cell) for name, cell in table.cells.items()},
                }.items()
            )
        ),
    }
    if table.cells and table.values_alone:
        stored["values_alone"] = list(table.values_alone)
    path = out / f"{figure.name}.json"
    path.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    return [path, *_draw(figure, table, out)]


def _cell_json(cell: Cell) -> dict[str, Any]:
    """Everything that a cell is computed from, what held-out people chose, facts and digest.

    The digest is that of what is given to others.
    """
    stored = shared_cell(cell).model_dump_json(exclude_none=True)
    return {
        "key": cell.key,
        "sha256": hashlib.sha256(stored.encode()).hexdigest(),
        "settings": cell.settings,
        "chosen": cell.chosen,
        "facts": {name: fact for name, fact in cell.facts.items() if name != PEOPLE},
        "seconds": cell.seconds,
        "device": cell.device,
        "versions": cell.versions,
    }


def _curve_json(figure: Figure, line: Line, entries: Points) -> dict[str, Any]:
    return {
        "scheme": line.scheme,
        "training": line.training,
        "label": line.label,
        "x": [x for x, _ in entries],
        "x_is": figure.x_label,
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


def _draw(figure: Figure, table: Table, out: Path) -> list[Path]:
    import matplotlib as mpl
    from matplotlib.figure import Figure as Drawing

    panels = figure.panels
    with mpl.rc_context({"svg.hashsalt": "airreid", "font.size": 8}):
        drawn = Drawing(figsize=(4.2 + 3.4 * len(panels), 4.4), dpi=150, layout="constrained")
        axes = drawn.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for axis, panel in zip(axes, panels, strict=True):
            _draw_panel(axis, figure, panel, table)
        axes[0].set_ylabel("top-1")
        axes[0].set_ylim(bottom=0)  # of all panels, once their curves are there
        labelled = {
            label: handle
            for axis in axes
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        axes[-1].legend(
            labelled.values(),
            labelled.keys(),
            fontsize=6.5,
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
        )
        drawn.suptitle(figure.title, fontsize=9)
        paths = [out / f"{figure.name}.svg", out / f"{figure.name}.png"]
        drawn.savefig(paths[0], metadata={"Date": None})
        drawn.savefig(paths[1])
    return paths


def _draw_panel(axis: Any, figure: Figure, panel: Panel, table: Table) -> None:
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
        table.bound.top1.value, color="grey", linewidth=1, linestyle="-.", label="no channel"
    )
    axis.set_title(panel.title, fontsize=8)
    axis.grid(alpha=0.25)
    axis.set_xlabel(figure.x_label)
    if figure.uses:
        axis.set_xscale("log", base=2)
        most = max((x for _, entries in panel.lines for x, _ in entries), default=1.0)
        ticks = table.bandwidths if most <= max(table.bandwidths) else _TICKS
        axis.set_xticks(ticks, [str(uses) for uses in ticks])
