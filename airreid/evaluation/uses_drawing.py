"""The figure of top-1 against channel uses, as pictures and as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from airreid.curve_style import PALETTE, save
from airreid.evaluation.uses import ADAPTIVE, DIGITAL, DIGITAL_PIECES, FIXED, ORACLE, UsesPoint
from airreid.nested.stopping import ACCEPTED_LOSS

_STYLES: dict[str, dict[str, Any]] = {
    FIXED: {"linestyle": "-", "marker": "o", "markersize": 3},
    ADAPTIVE: {"linestyle": "--", "marker": "^", "markersize": 4},
    ORACLE: {"linestyle": "", "marker": "*", "markersize": 9},
    DIGITAL: {"linestyle": ":", "marker": "s", "markersize": 4},
    DIGITAL_PIECES: {"linestyle": "-.", "marker": "D", "markersize": 4},
}
_DIGITAL = {DIGITAL: "coded", DIGITAL_PIECES: "coded, in pieces"}


def draw_uses(points: Sequence[UsesPoint], subtitle: str, path: Path) -> list[Path]:
    """Draws a colour for each SNR and a line for each way to send; returns the files."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 5.2), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    snrs_db = sorted({point.snr_db for point in points}, reverse=True)
    for number, snr_db in enumerate(snrs_db):
        for way, style in _STYLES.items():
            chosen = [p for p in points if (p.snr_db, p.way) == (snr_db, way)]
            chosen.sort(key=lambda point: point.uses_mean)
            if not chosen:
                continue
            axes.errorbar(
                [point.uses_mean for point in chosen],
                [point.top1 for point in chosen],
                [point.top1_half_width or 0.0 for point in chosen],
                [point.uses_half_width or 0.0 for point in chosen],
                label=f"{snr_db:+g} dB, {way}",
                color=PALETTE[number % len(PALETTE)],
                capsize=2,
                **style,
            )
    axes.set_xscale("log", base=2)
    ticks = sorted({point.uses_mean for point in points if point.way == FIXED})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set(xlabel="mean real channel uses per query", ylabel="top-1", ylim=(0, None))
    axes.set_title(f"Top-1 against channel uses\n{subtitle}", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return save(figure, path)


def uses_lines(points: Sequence[UsesPoint]) -> Iterator[str]:
    """Yields a line for each scheme and SNR: everything, the rule at its default, the oracle."""
    keys = dict.fromkeys((p.scheme, p.snr_db) for p in points if p.way not in _DIGITAL)
    for scheme, snr_db in keys:
        rows = [p for p in points if (p.scheme, p.snr_db) == (scheme, snr_db)]
        whole = max((p for p in rows if p.way == FIXED), key=lambda point: point.uses_mean)
        line = f"{scheme} {snr_db:+g} dB  top-1 {whole.top1:.3f} with {whole.uses_mean:.0f} uses"
        for point in rows:
            if point.way == ADAPTIVE and point.accepted_loss == ACCEPTED_LOSS:
                share = point.uses_mean / whole.uses_mean
                line += f"; {point.top1:.3f} with {point.uses_mean:.0f} ({share:.2f}) until enough"
                line += " was heard"
            if point.way == ORACLE:
                line += f"; an oracle needs {point.uses_mean:.0f}"
        yield line
    for point in points:
        if point.way in _DIGITAL:
            yield (
                f"{point.scheme} {point.snr_db:+g} dB  top-1 {point.top1:.3f} with "
                f"{point.uses_mean:.0f} uses, {_DIGITAL[point.way]}"
            )
