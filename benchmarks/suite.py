"""All benchmarks in turn, each in a process of its own, and what is compared with them."""

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
from benchmarks.rows import Report, Row, machine, read, write

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
    """Arguments of the run that is compared with the kept figures; None: it is not."""


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
    "uplink": Part("Many cameras", (("--streams", "100", "--seconds", "10", "--peer"),)),
    "path": Part("The whole path"),
    "start": Part("Start and memory"),
}


class BenchmarkError(AirReidError):
    """A benchmark did not give its rows."""


def run_part(name: str, arguments: Iterable[str]) -> Report:
    """One benchmark in a fresh process. Raises :class:`BenchmarkError` with its last words."""
    with TemporaryDirectory(prefix="airreid-bench-") as folder:
        path = Path(folder) / "rows.json"
        words = [word.replace("{out}", folder) for word in arguments]
        command = child_process.airreid("bench", name, *words)
        try:
            done = subprocess.run(
                [*command, "--json", str(path)],
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
) -> tuple[Report, dict[str, list[Row]]]:
    """Every benchmark that is named; the rows of the others stay as ``results`` has them.

    Returns the report, and its rows by benchmark.
    """
    about = machine(METHOD)
    parts: dict[str, list[Row]] = {}
    seconds: dict[str, float] = {}
    missing: dict[str, str] = {}
    wanted = set(names)
    kept = read(results) if results.exists() and wanted != set(PARTS) else None
    for name, part in PARTS.items():
        if name not in wanted:
            if kept is not None and name in kept.parts:
                parts[name] = [kept.rows[i] for i in kept.parts[name]]
                seconds |= {name: kept.seconds[name]} if name in kept.seconds else {}
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
    made = Report(machine=about, rows=rows, parts=positions, seconds=seconds, missing=missing)
    return made, parts


def save(folder: Path, made: Report, parts: dict[str, list[Row]]) -> list[Path]:
    """Writes ``results.json`` and ``RESULTS.md``; returns their paths."""
    results, page = folder / RESULTS, folder / PAGE
    write(results, made)
    titles = {name: part.title for name, part in PARTS.items()}
    page.write_text(markdown(made, titles, parts), encoding="utf-8")
    return [results, page]


# -- regressions -----------------------------------------------------------------------


class Compared(NamedTuple):
    """A row's ratio now and as it was kept."""

    key: str
    now: float
    kept: float
    fell: bool
    """It is worse by more than the row's tolerance."""


def compare(now: Iterable[Row], kept: Iterable[Row]) -> list[Compared]:
    """The ratios that both have, as the kept row's tolerance judges them."""
    before = {row.key: row for row in kept if row.ratio}
    found = []
    for row in now:
        old = before.get(row.key)
        if old is None or row.ratio is None or old.ratio is None:
            continue
        gain = row.ratio / old.ratio if old.better == "more" else old.ratio / row.ratio
        found.append(Compared(row.key, row.ratio, old.ratio, gain < 1 - old.tolerance))
    return found


def better_of(first: Row, second: Row) -> Row:
    """Of two measurements of one row, the one with the better ratio."""
    if first.ratio is None or second.ratio is None:
        return first
    return first if (first.ratio >= second.ratio) == (first.better == "more") else second


def check(kept: Report, say: Callable[[str], object]) -> list[Compared]:
    """Runs the quick rows and compares them; a part in which a row fell is run once more.

    Raises :class:`InputError` where there is nothing to compare, and
    :class:`BenchmarkError` when a benchmark does not run.
    """
    found: list[Compared] = []
    for name, part in PARTS.items():
        if part.quick is None:
            continue
        say(f"{name} ...")
        rows = run_part(name, part.quick).rows
        compared = compare(rows, kept.rows)
        if any(one.fell for one in compared):
            say(f"{name} once more ...")
            again = {row.key: row for row in run_part(name, part.quick).rows}
            rows = [better_of(row, again.get(row.key, row)) for row in rows]
            compared = compare(rows, kept.rows)
        found += compared
    if not found:
        raise InputError(f"{RESULTS} has none of the quick rows; run make bench first")
    return found
