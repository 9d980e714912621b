"""All benchmarks in turn, each in a process of its own, and their comparison with a baseline."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from airreid import child_process
from airreid.errors import AirReidError, InputError
from benchmarks.report import markdown
from benchmarks.rows import BenchmarkReport, Row, machine, read, write

HERE = Path(__file__).parent
RESULTS, PAGE = "results.json", "RESULTS.md"
METHOD = "each benchmark in a process of its own, one after the other; see RESULTS.md"
QUIET_SECONDS = 1.0
"""Pause before each, for what the one before leaves running."""
PART_SECONDS = 600.0


class Part(NamedTuple):
    """One benchmark."""

    title: str
    runs: tuple[tuple[str, ...], ...] = ((),)
    """Arguments of each run."""
    quick: tuple[str, ...] | None = None
    """Arguments of the run that is compared with the baseline; None: it is not."""


PARTS = {
    "edge": Part("The camera", (("--compile",),), quick=("--quick",)),
    "channel": Part("The channel", quick=("--quick",)),
    "codec": Part("The digital scheme's coders", quick=("--quick",)),
    "link": Part(
        "The coded link",
        (("--bits", "128", "--uses", "256", "--snr", "2.5", "--blocks", "1000", "--out", "{out}"),),
    ),
    "gallery": Part(
        "Search",
        (
            ("--entries", "1000", "--queries", "400"),
            ("--entries", "10000", "--queries", "400"),
            ("--entries", "100000", "--queries", "100"),
        ),
        ("--entries", "1000", "--queries", "200"),
    ),
    "evaluation": Part("Evaluation", (("--peer-queries", "100"),), quick=("--peer-queries", "40")),
    "train": Part("A training step", (("--rounds", "5"),)),
    "site": Part("A joint step of a site"),
    "uplink": Part("Many cameras", (("--streams", "100", "--seconds", "10", "--peer"),)),
    "pieces": Part("Blocks in pieces"),
    "path": Part("The whole path"),
    "start": Part("Start and memory"),
}


class BenchmarkError(AirReidError):
    """Error of a benchmark that did not give its rows."""


def run_part(name: str, arguments: Iterable[str]) -> BenchmarkReport:
    """Runs a benchmark in a fresh process. Raises :class:`BenchmarkError` with its last line."""
    with TemporaryDirectory(prefix="airreid-bench-") as folder:
        path = Path(folder) / "rows.json"
        words = [word.replace("{out}", folder) for word in arguments]
        command = child_process.airreid("bench", name, *words)
        try:
            done = subprocess.run(
                [*command, "--json-out", str(path)],
                capture_output=True,
                text=True,
                timeout=PART_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"took more than {PART_SECONDS:g} s") from None
        if done.returncode:
            last = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise BenchmarkError(last[-1].removeprefix("error: "))
        return read(path)


def run_all(
    names: Iterable[str], say: Callable[[str], object], results: Path
) -> tuple[BenchmarkReport, dict[str, list[Row]]]:
    """Runs every benchmark that is named; the rows of the others stay as ``results`` has them.

    Returns the report, and its rows by benchmark.
    """
    about = machine(METHOD)
    parts: dict[str, list[Row]] = {}
    seconds: dict[str, float] = {}
    missing: dict[str, str] = {}
    wanted = set(names)
    baseline = read(results) if results.exists() and wanted != set(PARTS) else None
    for name, part in PARTS.items():
        if name not in wanted:
            if baseline is not None and name in baseline.parts:
                parts[name] = [baseline.rows[i] for i in baseline.parts[name]]
                seconds |= {name: baseline.seconds[name]} if name in baseline.seconds else {}
            continue
        say(f"{name} ...")
        time.sleep(QUIET_SECONDS)
        started = time.perf_counter()
        rows: list[Row] = []
        for arguments in part.runs:
            try:
                rows += run_part(name, arguments).rows
            except AirReidError as error:
                missing[name] = str(error)
                say(f"{name} {' '.join(arguments)}: {error}")
        if rows:
            parts[name] = rows
        seconds[name] = round(time.perf_counter() - started, 1)
        say(f"{name}: {len(rows)} rows in {seconds[name]:.0f} s")
    rows = [row for part_rows in parts.values() for row in part_rows]
    positions, first = {}, 0
    for name, part_rows in parts.items():
        positions[name] = list(range(first, first + len(part_rows)))
        first += len(part_rows)
    report = BenchmarkReport(
        machine=about, rows=rows, parts=positions, seconds=seconds, missing=missing
    )
    return report, parts


def save(folder: Path, report: BenchmarkReport, parts: dict[str, list[Row]]) -> list[Path]:
    """Writes ``results.json`` and ``RESULTS.md``; returns their paths."""
    results, page = folder / RESULTS, folder / PAGE
    write(results, report)
    titles = {name: part.title for name, part in PARTS.items()}
    page.write_text(markdown(report, titles, parts), encoding="utf-8")
    return [results, page]


# -- regressions -----------------------------------------------------------------------


class Comparison(NamedTuple):
    """Ratio of a row now and in the baseline."""

    key: str
    now: float
    baseline: float
    fell: bool
    """True where it is worse by more than the row's tolerance."""


def compare(now: Iterable[Row], baseline: Iterable[Row]) -> list[Comparison]:
    """Compares the ratios that both have, by the tolerance of the baseline's row."""
    before = {row.key: row for row in baseline if row.ratio}
    compared = []
    for row in now:
        old = before.get(row.key)
        if old is None or row.ratio is None or old.ratio is None:
            continue
        gain = row.ratio / old.ratio if old.better == "more" else old.ratio / row.ratio
        compared.append(Comparison(row.key, row.ratio, old.ratio, gain < 1 - old.tolerance))
    return compared


def better_of(first: Row, second: Row) -> Row:
    """Returns the measurement of a row with the better ratio."""
    if first.ratio is None or second.ratio is None:
        return first
    return first if (first.ratio >= second.ratio) == (first.better == "more") else second


def check(baseline: BenchmarkReport, say: Callable[[str], object]) -> list[Comparison]:
    """Runs the quick rows and compares them; a part in which a row fell is run once more.

    Raises :class:`InputError` where there is nothing to compare, and
    :class:`BenchmarkError` when a benchmark does not run.
    """
    comparisons: list[Comparison] = []
    for name, part in PARTS.items():
        if part.quick is None:
            continue
        say(f"{name} ...")
        rows = run_part(name, part.quick).rows
        compared = compare(rows, baseline.rows)
        if any(ratio.fell for ratio in compared):
            say(f"{name} once more ...")
            again = {row.key: row for row in run_part(name, part.quick).rows}
            rows = [better_of(row, again.get(row.key, row)) for row in rows]
            compared = compare(rows, baseline.rows)
        comparisons += compared
    if not comparisons:
        raise InputError(f"{RESULTS} has none of the quick rows; run make bench first")
    return comparisons
