"""A figure as a picture and as a vector drawing."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import Any

from airreid.curve_style import GREY, NO_CODE, PALETTE, line_of, save
from airreid.evaluation.figures import Plot
from airreid.evaluation.points import PCA

Style = dict[str, Any]
"""Keywords of Matplotlib's ``errorbar``."""
_KIND_STYLES: dict[str, Style] = {}


def register_style(kind: str, style: Style) -> None:
    """Draws the curves of a scheme kind so; without, as :mod:`airreid.curve_style` has it."""
    _KIND_STYLES[kind] = style


_LINE = 76
"""Characters in a line of a title."""
_LOW = 0.6
"""Highest top-1 with which the axis still ends before 1."""


def draw(plot: Plot, subtitle: str, path: Path) -> list[Path]:
    """Draws top-1 of every curve with its interval, and the bound without a channel.

    Returns a PNG, an SVG and a PDF beside each other.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 5.2), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    for curve, style in zip(plot.curves, _styles(plot), strict=True):
        axes.errorbar(
            curve.x,
            [point.top1 for point in curve.points],
            [point.top1_half_width or 0.0 for point in curve.points],
            label=curve.label,
            capsize=2,
            elinewidth=0.8,
            **style,
        )
    for number, point in enumerate(plot.bounds, start=1):
        label = NO_CODE + (f" ({number})" if len(plot.bounds) > 1 else "")
        axes.axhline(point.top1, color=GREY, linestyle="--", linewidth=1, label=label)
    if plot.against_bandwidth:
        axes.set_xscale("log", base=2)
        widths = sorted({x for curve in plot.curves for x in curve.x})
        axes.set_xticks(widths, [f"{x:g}" for x in widths])
    highest = max(point.top1 for curve in plot.curves for point in curve.points)
    highest = max([highest, *(point.top1 for point in plot.bounds)])
    top = 1.02 if highest > _LOW else 1.3 * max(highest, 0.05)
    axes.set(xlabel=plot.x_label, ylabel="top-1, with 95 % interval", ylim=(0, top))
    axes.set_title("\n".join([plot.title, *wrap(subtitle, _LINE)]), fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return save(figure, path)


def _styles(plot: Plot) -> list[Style]:
    """Keywords of each curve: its scheme's look; against bandwidth a colour is an SNR instead.

    Where several curves would look alike, bundles that share a scheme, the later ones take
    colours that are left.
    """
    groups = list(dict.fromkeys(curve.colour_group for curve in plot.curves))
    styles: list[Style] = []
    taken: set[tuple[str, str]] = set()
    for curve in plot.curves:
        one_scheme = len({point.scheme for point in curve.points}) == 1
        name = curve.points[0].scheme if one_scheme and curve.kind != PCA else curve.kind
        style = dict(_KIND_STYLES.get(curve.kind) or line_of(name, curve.link).keywords)
        if plot.against_bandwidth:
            colour = PALETTE[groups.index(curve.colour_group) % len(PALETTE)]
            style |= {"color": colour, "markerfacecolor": colour, "drawstyle": "default"}
        elif (str(style.get("color")), curve.link) in taken:
            used = {colour for colour, _ in taken}
            free = [colour for colour in PALETTE if colour not in used]
            colour = free[0] if free else PALETTE[len(styles) % len(PALETTE)]
            style |= {"color": colour, "markerfacecolor": colour}
        taken.add((str(style.get("color")), curve.link))
        styles.append(style)
    return styles
