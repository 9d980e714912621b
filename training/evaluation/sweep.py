"""A figure of the paper, measured: JSON, CSV and PNG in one folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from airreid.bundle import Bundle
from airreid.errors import InputError
from training.data.dataset import DataSet
from training.evaluation.drawing import draw
from training.evaluation.evaluate import Settings, about, evaluate
from training.evaluation.features import Phase
from training.evaluation.figures import Figure, Plot, plot
from training.evaluation.points import Point
from training.evaluation.tables import write_csv, write_json

PREFERRED = 256
"""The paper's bandwidth for Figures 4a and 4b."""


def bandwidth_of(bundles: Sequence[Bundle], asked: int | None) -> int:
    """The bandwidth asked for; else 256 if any scheme has it, else the largest.

    Raises :class:`InputError` naming those that there are.
    """
    there = sorted({info.bandwidth for bundle in bundles for info in bundle.manifest.schemes})
    if asked is not None and asked not in there:
        raise InputError(f"--bandwidth {asked}: there are schemes of {', '.join(map(str, there))}")
    return asked or (PREFERRED if PREFERRED in there else there[-1])


def sweep(
    figure: Figure,
    bundles: Sequence[Bundle],
    data: DataSet,
    settings: Settings,
    bandwidth: int,
    out: Path,
    phase: Phase,
) -> tuple[Plot, list[Path]]:
    """Measures what the figure needs and writes ``figure-<figure>.{json,csv,png}`` to ``out``."""
    started = time.perf_counter()
    points: list[Point] = []
    for bundle in bundles:
        schemes = [
            info.id
            for info in bundle.manifest.schemes
            if (figure == "4c" or info.bandwidth == bandwidth)
            and info.id in (settings.schemes or (info.id,))
        ]
        if schemes:
            points += evaluate(bundle, data, replace(settings, schemes=tuple(schemes)), phase)
    if not points:
        raise InputError(f"--scheme {', '.join(settings.schemes)}: none of bandwidth {bandwidth}")
    made = plot(figure, points, bandwidth)
    what = about(bundles, data, settings)
    what |= {
        "figure": figure,
        "title": made.title,
        "notes": list(made.notes),
        "minutes": round((time.perf_counter() - started) / 60, 2),
        "curves": [
            {
                "label": curve.label,
                "x": curve.x,
                "top1": [point.top1 for point in curve.points],
                "top1_half_width": [point.top1_half_width for point in curve.points],
            }
            for curve in made.curves
        ],
    }
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"figure-{figure}.{kind}" for kind in ("json", "csv", "png")]
    write_json(paths[0], what, points)
    write_csv(paths[1], what, points)
    draw(made, f"{data.label}; {settings.seeds} noise seeds, 95 % intervals", paths[2])
    return made, paths
