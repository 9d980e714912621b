"""A figure as a PNG."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import Any

from airreid.evaluation.figures import Curve, Plot

_STYLES: dict[str, dict[str, Any]] = {
    "analog": {"linestyle": "-", "marker": "o", "markersize": 4},
    "coded": {"linestyle": "-", "marker": "s", "markersize": 4},
    "ideal": {"linestyle": ":", "marker": "^", "markersize": 4},
    "paper": {"linestyle": "", "marker": "*", "markersize": 10},
}

_LINE = 76
"""Characters of a title's line."""
_LOW = 0.6
"""Where no top-1 is above it, the axis ends before 1."""


def draw(plot: Plot, subtitle: str, path: Path) -> None:
    """Top-1 of every curve with its interval, and the bound without a channel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 5.2), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    colours: dict[str, str] = {}
    for curve in plot.curves:
        colour = colours.setdefault(_colour_key(plot, curve), f"C{len(colours)}")
        axes.errorbar(
            curve.x,
            [point.top1 for point in curve.points],
            [point.top1_half_width or 0.0 for point in curve.points],
            label=curve.label,
            color=colour,
            capsize=2,
            **_style(plot, curve),
        )
    for number, point in enumerate(plot.bounds):
        label = "no channel" + (f", {point.scheme} of {point.bundle[:6]}" if number else "")
        axes.axhline(point.top1, color="grey", linestyle="--", linewidth=1, label=label)
    if _against_bandwidth(plot):
        axes.set_xscale("log", base=2)
        widths = sorted({x for curve in plot.curves for x in curve.x})
        axes.set_xticks(widths, [f"{x:g}" for x in widths])
    highest = max(point.top1 for curve in plot.curves for point in curve.points)
    highest = max([highest, *(point.top1 for point in plot.bounds)])
    top = 1.02 if highest > _LOW else 1.3 * max(highest, 0.05)
    axes.set(xlabel=plot.x_label, ylabel="top-1", ylim=(0, top))
    axes.set_title("\n".join([plot.title, *wrap(subtitle, _LINE)]), fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(path)


def _against_bandwidth(plot: Plot) -> bool:
    return plot.x_label.startswith("bandwidth")


def _colour_key(plot: Plot, curve: Curve) -> str:
    """Against SNR a colour is a scheme, against bandwidth it is an SNR."""
    parts = curve.label.split(", ")
    if _against_bandwidth(plot):
        return parts[-1]
    return curve.label if curve.kind == "pca" else parts[0]


def _style(plot: Plot, curve: Curve) -> dict[str, Any]:
    if curve.kind == "pca":
        return {"linestyle": "--", "marker": ".", "markersize": 4}
    if curve.kind == "jscc-fc":
        return {"linestyle": "-.", "marker": "x", "markersize": 5}
    return _STYLES[curve.link]
