"""``RESULTS.md``: a run as a table for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmarks.rows import BenchmarkReport, Row

_HEAD = (
    "| what | unit | ours | peer | | ratio | asked | kept | spread | n |",
    "| --- | --- | ---: | ---: | --- | ---: | --- | --- | ---: | ---: |",
)
_METHOD = """\
Every row is ours and a peer on the same machine in the same run. What is compared takes
turns, in short bursts, after a warm-up that is not counted, so that a machine whose speed
drifts slows all of it alike; figures are medians of n repetitions unless the row says
otherwise, *ratio* is ours to the peer's, and *spread* is the 90th percentile of our times
over their median. *asked* is what the project set out to reach: of the ratio (×), or of our
own figure. Each benchmark runs in a process of its own, one after the other.
`make bench` writes this page and `results.json`; `make bench-check` compares the ratios of a
new run with them."""


def markdown(
    report: BenchmarkReport, titles: Mapping[str, str], parts: Mapping[str, Iterable[Row]]
) -> str:
    """Formats the page: machine, method, and a table for each part, rows in their order."""
    about = report.machine
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    lines = [
        "# Measured",
        "",
        f"{about['processor']}, {about['cores']} cores, {about['memory_gib']:g} GiB, "
        f"{about['system']}; Python {about['python']}, {versions}. Load average at the start "
        f"{about['load_average']:g}.",
        "",
        _METHOD,
    ]
    for name, rows in parts.items():
        took = report.seconds.get(name)
        time = f", {took:.0f} s" if took is not None else ""
        lines += ["", f"## {titles[name]}", "", f"`airreid bench {name}`{time}.", "", *table(rows)]
    if report.missing:
        lines += ["", "## Not measured", ""]
        lines += [f"- `airreid bench {name}`: {why}" for name, why in report.missing.items()]
    return "\n".join(lines) + "\n"


def table(rows: Iterable[Row]) -> list[str]:
    """Formats the lines of a Markdown table, and the rows' notes below it."""
    rows = list(rows)
    lines = [*_HEAD, *map(_line, rows)]
    notes = dict.fromkeys(f"{row.name}: {row.note}" for row in rows if row.note)
    if notes:
        lines += ["", *(f"- {note}" for note in notes)]
    return lines


def plain(rows: Iterable[Row]) -> list[str]:
    """Formats aligned lines that survive a pipe."""
    cells: list[tuple[str, ...]] = [
        ("what", "unit", "ours", "peer", "", "ratio", "asked", "kept", "spread", "n")
    ]
    cells += [_cells(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def _line(row: Row) -> str:
    return f"| {' | '.join(_cells(row))} |"


def _cells(row: Row) -> tuple[str, ...]:
    sign = "≥" if row.better == "more" else "≤"
    asked = ""
    if row.limit is not None:
        asked = f"{sign} {row.limit:g}" + ("×" if row.limit_of == "ratio" else "")
    return (
        row.name,
        row.unit,
        _figure(row.ours),
        "" if row.peer is None else _figure(row.peer),
        row.peer_name,
        "" if row.ratio is None else f"{row.ratio:.3g}×",
        asked,
        "" if row.met is None else ("yes" if row.met else "**no**"),
        "" if row.spread is None else f"{row.spread:.2f}",
        str(row.repetitions),
    )


def _figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
