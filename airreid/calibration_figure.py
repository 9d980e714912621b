"""Reliability diagram of fitted stopping rules: what they state against what came true."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airreid.curve_style import GREY, line_of, save, targets
from airreid.errors import InputError
from airreid.retrieval import people_half_width

NO_RULE = "no stopping rule was fitted, which takes a nested scheme and 50 people by two cameras"


def check_figure(path: Path, waits: bool) -> None:
    """Raises :class:`InputError` before the work where no figure could be written after it."""
    if not waits:
        raise InputError("--figure draws a finished job: leave out --no-wait")
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("--figure needs matplotlib: pip install 'airreid[evaluate]'")
    if not path.name:
        raise InputError(f"--figure {path}: is a folder; name a file")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise InputError(f"--figure {path}: no such folder")
    for target in targets(path):
        if target.is_dir():
            raise InputError(f"--figure {target}: is a folder; name another file")
        if not os.access(target if target.exists() else folder, os.W_OK):
            raise InputError(f"--figure {target}: cannot be written; name another file")


def draw_reliability(report: Mapping[str, Any], path: Path) -> list[Path]:
    """Draws the rules of a calibration's report, a panel for each; returns the files.

    Bars are 95 % intervals over people, each a single trial, so the widest that fit. Empty, and
    nothing is written, where no rule was fitted.
    """
    from matplotlib.figure import Figure

    fitted = [scheme for scheme in report["schemes"] if scheme.get("stopping")]
    if not fitted:
        return []
    figure = Figure(figsize=(4.6 * len(fitted), 5.4), dpi=130, layout="constrained")
    panels = figure.subplots(2, len(fitted), squeeze=False, sharex=True, height_ratios=(4, 1))
    for (diagram, histogram), scheme in zip(panels.T, fitted, strict=True):
        rule, look = scheme["stopping"], line_of(scheme["scheme_id"])
        people = rule.get("bin_people") or [rule["people"]] * len(rule["blocks"])
        rows = [
            (stated, observed, people_half_width(observed, count), blocks)
            for stated, observed, count, blocks in zip(
                rule["stated"], rule["observed"], people, rule["blocks"], strict=True
            )
            if blocks
        ]
        stated, observed, half_widths, blocks = zip(*rows, strict=True)
        diagram.plot((0, 1), (0, 1), color=GREY, linestyle=":", label="as stated")
        diagram.errorbar(
            *(stated, observed, half_widths), capsize=2, label="came true", **look.keywords
        )
        diagram.set(ylim=(0, 1), ylabel="best identity is right")
        diagram.set_title(
            f"{scheme['scheme_id']}: mean difference {rule['error']:.3f}\n"
            f"{rule['queries']} queries of {rule['people']} people by two cameras",
            fontsize=9,
        )
        diagram.legend(fontsize=8, loc="upper left")
        histogram.bar(stated, blocks, width=0.06, color=look.colour)
        histogram.set(xlim=(0, 1), xlabel="probability stated after a piece", ylabel="blocks")
        for axes in (diagram, histogram):
            axes.grid(alpha=0.3)
    return save(figure, path)
