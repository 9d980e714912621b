"""Parts of a page that are written from a study's cells; the text around them stays."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from airreid.disk import read_given_text
from airreid.errors import InputError
from airreid.evaluation.study.anchors import anchors_markdown
from airreid.evaluation.study.cells import StudyPoint
from airreid.evaluation.study.claims import Claim, summary_markdown
from airreid.evaluation.study.comparisons import ABLATIONS, COMPARISONS, PAPERS, TOGETHER
from airreid.evaluation.study.figures import BANDWIDTH
from airreid.evaluation.study.looks import JOINTLY, SCHEMES
from airreid.evaluation.study.table import GIVEN, Entry, Table

_BYTES_MAX = 64 * 1024 * 1024
_PART = re.compile(
    r"(?P<begin><!-- study (?P<name>\S+) (?P<part>\S+) -->\n).*?(?P<end><!-- end -->)", re.S
)
_OF_GIVEN = tuple(each for each in COMPARISONS if each.first[0].startswith(GIVEN))
"""Comparisons of codes that came with a network."""
_OTHERS = tuple(each for each in COMPARISONS if each not in _OF_GIVEN)


def fill_page(page: Path, name: str, parts: Mapping[str, str]) -> None:
    """Writes a study's parts between their markers in a page.

    A part stands between ``<!-- study NAME PART -->`` and ``<!-- end -->``, a line each. Raises
    :class:`InputError` for a page without a marker of that name, and for a part that there is not.
    """
    text = read_given_text(page, _BYTES_MAX)
    filled = []

    def part(match: re.Match[str]) -> str:
        if match["name"] != name:
            return match[0]
        if match["part"] not in parts:
            raise InputError(f"{page}: no part {match['part']}; there are {', '.join(parts)}")
        filled.append(match["part"])
        return f"{match['begin']}\n{parts[match['part']]}\n{match['end']}"

    text = _PART.sub(part, text)
    if not filled:
        raise InputError(f"{page}: no '<!-- study {name} PART -->'; parts are {', '.join(parts)}")
    page.write_text(text, encoding="utf-8")


def page_parts(table: Table, claims: Sequence[Claim], about: Mapping[str, Any]) -> dict[str, str]:
    """Writes every part that a page may have of a study, by its name."""
    lost, computed = table.values_alone, tuple(table.cells)
    return {
        "about": about_markdown(about),
        "finished": finished_markdown(table),
        "top1": "\n".join(top1_markdown(table, width) for width in _papers_first(table.bandwidths)),
        "claims": summary_markdown(PAPERS, claims, table.missing, lost, computed),
        "ablations": summary_markdown(ABLATIONS, claims, table.missing, lost, computed),
        "together": summary_markdown(TOGETHER, claims, table.missing, lost, computed),
        "given": summary_markdown(_OF_GIVEN, claims, ()),
        "judged": summary_markdown(_OTHERS, claims, ()),
        "anchors": anchors_markdown(table.cells, table.snrs_db, table.published.anchors),
        "checks": checks_markdown(table),
    }


def _papers_first(bandwidths: Sequence[int]) -> list[int]:
    """Orders bandwidths so that the paper's comes first, then the narrowest."""
    return sorted(bandwidths, key=lambda bandwidth: (bandwidth != BANDWIDTH, bandwidth))


def about_markdown(about: Mapping[str, Any]) -> str:
    """Writes data, protocol, people and digests of a study as a list."""
    lines = []
    for key, value in about.items():
        words = key.replace("_", " ")
        if isinstance(value, Mapping):
            lines += [f"- {words}, {name}: `{digest}`" for name, digest in value.items()]
        else:
            lines.append(f"- {words}: {value}")
    return "\n".join(lines) + "\n"


def finished_markdown(table: Table) -> str:
    """Says which cells are finished and which are not."""
    cells = sorted({*table.cells, *table.published.cells})
    finished = f"Finished: {len(cells)} cells, {_listed(cells)}."
    if table.cells and table.values_alone:
        finished += (
            f"\n\nOf {len(table.values_alone)} of them only values are there, and not who was "
            f"found, so that they are compared with none of the others: "
            f"{_listed(table.values_alone)}."
        )
    if not table.missing:
        return f"{finished} None is missing.\n"
    return f"{finished}\n\nNot finished: {len(table.missing)}, {_listed(table.missing)}.\n"


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    """Writes names of cells, those of the digital grid as one."""
    digital = [name for name in names if name.startswith("digital-")]
    others = [f"`{name}`" for name in names if name not in digital]
    if digital:
        others.append(f"{len(digital)} of `digital-D-LAMBDA`")
    return ", ".join(others)


def top1_markdown(table: Table, bandwidth: int) -> str:
    """Writes top-1 of every scheme at a bandwidth, one row for each, with 95 % intervals."""
    lines = [
        f"| B = {bandwidth} | trainings × draws | "
        + " | ".join(f"{snr_db:g} dB" for snr_db in table.snrs_db)
        + " |",
        "| --- " * (2 + len(table.snrs_db)) + "|",
    ]
    for line in {(line.scheme, line.training): line for line in (*JOINTLY, *SCHEMES)}.values():
        row = [table.get(line.scheme, line.training, bandwidth, snr_db) for snr_db in table.snrs_db]
        first = next((entry for entry in row if entry is not None), None)
        if first is not None:
            trainings, draws = first.draws
            values = " | ".join(map(_value, row))
            lines.append(f"| {line.label} | {trainings} × {draws or 'exact'} | {values} |")
    return "\n".join(lines) + "\n"


def _value(entry: Entry | None) -> str:
    if entry is None:
        return ""
    half = entry.top1.half_width
    shown = f"{entry.top1.value:.3f}"
    if not math.isnan(half):
        shown += f" ± {half:.3f}"
    return shown if entry.bits is None else f"{shown} ({entry.bits:.0f} bits)"


def checks_markdown(table: Table) -> str:
    """Says how far power and SNR of the blocks of all points are from what they claim."""
    points = [point for point in _points(table) if point.measured_snr_db is not None]
    if not points and not table.published.checks.points:
        return ""
    snrs_db = [abs(point.snr_db - (point.measured_snr_db or 0.0)) for point in points]
    powers = [abs(1.0 - point.power) for point in points if point.power is not None]
    before = table.published.checks
    snr_db, power = max([*snrs_db, before.snr_db]), max([*powers, before.power])
    return (
        f"{before.points + len(points)} points were measured on blocks. The SNR of a point's "
        f"blocks is within {snr_db:.4f} dB of the one that it stands at; the block of the farthest "
        f"power has 1 ± {power:.1e}.\n"
    )


def _points(table: Table) -> Iterator[StudyPoint]:
    for cell in table.cells.values():
        for curve in cell.curves:
            yield from curve.points
