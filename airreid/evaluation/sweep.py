"""Figure of the paper, measured: JSON, CSV and PNG in one folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from airreid.bundle import Bundle
from airreid.datasets.dataset import DataSet
from airreid.errors import InputError
from airreid.evaluation.drawing import draw
from airreid.evaluation.evaluate import Settings, about, evaluate
from airreid.evaluation.features import Phase
from airreid.evaluation.figures import Figure, Plot, plot
from airreid.evaluation.point_files import read_json, write_csv, write_json
from airreid.evaluation.points import NO_CHANNEL, PCA, Point

PREFERRED = 256
"""The paper's bandwidth for Figures 4a and 4b."""
_BASELINES = (NO_CHANNEL, PCA)
"""Kinds of points that schemes are drawn beside."""


def bandwidth_of(bundles: Sequence[Bundle], asked: int | None) -> int:
    """Chooses the bandwidth asked for; else 256 if any scheme has it, else the largest.

    Raises :class:`InputError` naming those that there are.
    """
    widths = sorted({info.bandwidth for bundle in bundles for info in bundle.manifest.schemes})
    if asked is not None and asked not in widths:
        raise InputError(f"--bandwidth {asked}: there are schemes of {_listed(widths)}")
    return asked or (PREFERRED if PREFERRED in widths else widths[-1])


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
    description = about(bundles, data, settings)
    description["minutes"] = round((time.perf_counter() - started) / 60, 2)
    subtitle = f"{data.label}; {settings.seeds} noise seeds, 95 % intervals"
    return _write(figure, points, bandwidth, description, subtitle, out)


def redraw(
    figure: Figure,
    measured: Sequence[Path],
    schemes: Sequence[str],
    bandwidth: int | None,
    snrs_db: Sequence[float],
    out: Path,
) -> tuple[Plot, list[Path]]:
    """Draws the figure from points that ``sweep`` or ``evaluate --json`` has written.

    Nothing is measured again.
    ``schemes`` are ids and ``snrs_db`` SNRs, all of them if empty. Raises
    :class:`InputError` for a file that is none of these, and where files are of different
    data or protocols.
    """
    read = _read_alike(measured)
    first = read[0][0]
    points = [
        point
        for _, measured_points in read
        for point in measured_points
        if not schemes or point.kind in _BASELINES or point.scheme in schemes
    ]
    widths = sorted({point.bandwidth for point in points if point.kind not in _BASELINES})
    if not widths:
        raise InputError(f"--scheme {', '.join(schemes)}: not in {measured[0]}")
    if bandwidth is not None and bandwidth not in widths:
        raise InputError(f"--bandwidth {bandwidth}: there are points of {_listed(widths)}")
    width = bandwidth or (PREFERRED if PREFERRED in widths else widths[-1])
    if figure != "4c":
        points = [point for point in points if point.bandwidth in (0, width)]
    points = _at_snrs(points, snrs_db)
    used = {(p.bundle, p.backbone) for p in points if p.kind not in _BASELINES}
    points = _each_baseline_once([p for p in points if (p.bundle, p.backbone) in used])
    bundles = [bundle for description, _ in read for bundle in description["bundles"]]
    description = {**first, "bundles": bundles}
    for key in ("figure", "title", "notes", "minutes", "curves"):
        description.pop(key, None)
    seeds = max(point.seeds for point in points)
    subtitle = f"{first['data']}; {seeds} noise seeds, 95 % intervals"
    return _write(figure, points, width, description, subtitle, out)


def _each_baseline_once(points: Sequence[Point]) -> list[Point]:
    """Drops a baseline that another bundle on the same backbone has as well, to the digit."""
    compared, once = set[Point](), list[Point]()
    for point in points:
        if point.kind in _BASELINES:
            same = replace(point, bundle="")
            if same in compared:
                continue
            compared.add(same)
        once.append(point)
    return once


def _read_alike(measured: Sequence[Path]) -> list[tuple[dict[str, Any], list[Point]]]:
    """Reads each file's description and points.

    Raises :class:`InputError` where they differ in data or protocol.
    """
    read = [read_json(path) for path in measured]
    first = read[0][0]
    for (description, _), path in zip(read, measured, strict=True):
        for key in ("data_digest", "protocol"):
            if description[key] != first[key]:
                raise InputError(
                    f"{path}: {key} {description[key]}, but {measured[0]} has {first[key]}"
                )
    return read


def _at_snrs(points: list[Point], snrs_db: Sequence[float]) -> list[Point]:
    """Keeps points at some SNRs and points without one; all if no SNR is named."""
    if not snrs_db:
        return points
    known = sorted({p.snr_db for p in points if p.snr_db is not None and p.link != "paper"})
    for snr_db in snrs_db:
        if snr_db not in known:
            raise InputError(f"--snr {snr_db:g}: measured are {_listed(known)}")
    return [
        point
        for point in points
        if point.snr_db is None or point.link == "paper" or point.snr_db in snrs_db
    ]


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _write(
    figure: Figure,
    points: Sequence[Point],
    bandwidth: int,
    description: dict[str, Any],
    subtitle: str,
    out: Path,
) -> tuple[Plot, list[Path]]:
    drawn = plot(figure, points, bandwidth)
    description |= {
        "figure": figure,
        "title": drawn.title,
        "notes": list(drawn.notes),
        "curves": [
            {
                "label": curve.label,
                "x": curve.x,
                "top1": [point.top1 for point in curve.points],
                "top1_half_width": [point.top1_half_width for point in curve.points],
            }
            for curve in drawn.curves
        ],
    }
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"figure-{figure}.{kind}" for kind in ("json", "csv")]
    write_json(paths[0], description, points)
    write_csv(paths[1], description, points)
    return drawn, [*paths, *draw(drawn, subtitle, out / f"figure-{figure}.png")]
