"""A figure as a PNG."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import Any

from airreid.evaluation.figures import Curve, Plot
from airreid.evaluation.points import PCA

Style = dict[str, Any]
"""Keywords of Matplotlib's ``errorbar``."""
_LINK_STYLES: dict[str, Style] = {
    "analog": {"linestyle": "-", "marker": "o", "markersize": 4},
    "coded": {"linestyle": "-", "marker": "s", "markersize": 4},
    "ideal": {"linestyle": ":", "marker": "^", "markersize": 4},
    "paper": {"linestyle": "", "marker": "*", "markersize": 10},
}
_KIND_STYLES: dict[str, Style] = {
    PCA: {"linestyle": "--", "marker": ".", "markersize": 4},
    "jscc-fc": {"linestyle": "-.", "marker": "x", "markersize": 5},
}


def register_style(kind: str, style: Style) -> None:
    """Draws the curves of a scheme kind so; without, they look as their link's do."""
    _KIND_STYLES[kind] = style


_LINE = 76
"""Characters in a line of a title."""
_LOW = 0.6
"""Highest top-1 with which the axis still ends before 1."""


def draw(plot: Plot, subtitle: str, path: Path) -> None:
    """Draws top-1 of every curve with its interval, and the bound without a channel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 5.2), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    colours: dict[str, str] = {}
    for curve in plot.curves:
        colour = colours.setdefault(curve.colour_group, f"C{len(colours)}")
        axes.errorbar(
            curve.x,
            [point.top1 for point in curve.points],
            [point.top1_half_width or 0.0 for point in curve.points],
            label=curve.label,
            color=colour,
            capsize=2,
            **_style(curve),
        )
    for number, point in enumerate(plot.bounds):
        label = "no channel" + (f", {point.scheme} of {point.bundle[:6]}" if number else "")
        axes.axhline(point.top1, color="grey", linestyle="--", linewidth=1, label=label)
    if plot.against_bandwidth:
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


def _style(curve: Curve) -> Style:
    return _KIND_STYLES.get(curve.kind) or _LINK_STYLES.get(curve.link, _LINK_STYLES["analog"])
