"""Report of a run that learned a site: lines for the terminal, JSON and curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airreid.adopt.report import curves
from airreid.evaluation.drawing import draw
from airreid.evaluation.interval import over_people
from airreid.evaluation.point_files import write_json
from airreid.evaluation.points import NO_CHANNEL, PCA, Point
from airreid.retrieval import people_half_width
from training.site.measuring import Measured

_NAME = 26
_CELL = 7


def table(measured: Measured) -> list[str]:
    """Lists top-1 before and after for every scheme and SNR, with data and intervals."""
    snrs = sorted({p.snr_db for p in measured.after if p.snr_db is not None})
    lines = [
        measured.protocol,
        f"top-1 on {measured.people} people",
        f"±        {over_people(measured.people)}, at 0 dB",
        "",
        " " * _NAME + "".join(f"{snr:+{_CELL}g}" for snr in snrs) + " dB",
        f"{'guessing':<{_NAME}}{measured.guessing:{_CELL}.3f}",
    ]
    for before, after in _groups(measured):
        name = "no channel" if after[0].kind == NO_CHANNEL else f"{after[0].scheme}"
        if after[0].link not in ("analog", "none"):
            name += f", {after[0].link}"
        lines.append(_row(f"{name}, as given", before, snrs))
        lines.append(_row(f"{name}, here", after, snrs) + _sure(after, measured.people))
    return lines


def _groups(measured: Measured) -> list[tuple[list[Point], list[Point]]]:
    before, after = (_grouped(points) for points in (measured.before, measured.after))
    return [(before.get(key, []), points) for key, points in after.items()]


def _grouped(points: Sequence[Point]) -> dict[tuple[str, str], list[Point]]:
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        if point.link == "paper" or point.kind == PCA:
            continue
        name = "" if point.kind == NO_CHANNEL else point.scheme
        groups.setdefault((name, point.link), []).append(point)
    return groups


def _row(name: str, points: Sequence[Point], snrs: Sequence[float]) -> str:
    if points and points[0].snr_db is None:
        return f"{name:<{_NAME}}{points[0].top1:{_CELL}.3f}"
    rates = {point.snr_db: point.top1 for point in points}
    cells = (f"{rates[s]:{_CELL}.3f}" if s in rates else " " * _CELL for s in snrs)
    return f"{name:<{_NAME}}" + "".join(cells)


def _sure(points: Sequence[Point], people: int) -> str:
    point = next((p for p in points if p.snr_db in (0.0, None)), None)
    return "" if point is None else f"  ± {people_half_width(point.top1, people):.3f}"


def write_report(home: Measured | None, elsewhere: Sequence[Measured], folder: Path) -> list[Path]:
    """Writes ``home.json`` and ``.png``, ``home-before.json``, and the same for other sites.

    Returns the paths written, none without a test.
    """
    results = {f"elsewhere-{number}": result for number, result in enumerate(elsewhere, 1)}
    if home is not None:
        results = {"home": home, **results}
    written = []
    for name, result in results.items():
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{name}{tail}" for tail in (".json", "-before.json", ".png")]
        write_json(paths[0], dict(result.about), result.after)
        write_json(paths[1], dict(result.about), result.before)
        draw(curves(result.after), f"{result.about['data']}{result.through}", paths[2])
        written += paths
    return written
