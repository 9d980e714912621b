"""Commands of ``airreid bench`` that give rows and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from airreid.console import progress_bars
from airreid.json_output import JsonTargets, check_json, prints_json, write_json
from benchmarks import report, rows
from benchmarks.rows import Row

Quick = Annotated[bool, typer.Option("--quick", help="Fewer repetitions, and no slow peers.")]


def show(method: str, measured: list[Row], targets: Sequence[Path] | None) -> None:
    """Prints the rows and writes them where that is wanted."""
    echo = partial(typer.echo, err=prints_json(targets))
    for line in report.plain(measured):
        echo(line)
    for note in dict.fromkeys(f"{row.name}: {row.note}" for row in measured if row.note):
        echo(note)
    for path in write_json(targets, rows.report(method, measured).model_dump(mode="json")):
        echo(f"wrote {path}")


def edge(
    quick: Quick = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="torch.compile too: it takes minutes to begin.")
    ] = False,
    as_json: JsonTargets = None,
) -> None:
    """Measure the camera's work: image and JPEG file to symbols, beside PyTorch and others."""
    check_json(*as_json or ())
    from benchmarks import edge as part

    amount = replace(part.QUICK if quick else part.FULL, compiled=compiled)
    show(part.METHOD, part.measure(amount), as_json)


def codec(quick: Quick = False, as_json: JsonTargets = None) -> None:
    """Measure the digital scheme's coders: arithmetic coding and polar decoding."""
    check_json(*as_json or ())
    from benchmarks import codec as part

    show(part.METHOD, part.measure(part.QUICK_ROUNDS if quick else part.ROUNDS), as_json)


def channel(quick: Quick = False, as_json: JsonTargets = None) -> None:
    """Measure the channel: noise beside NumPy's, service beside proxies that do nothing."""
    check_json(*as_json or ())
    from benchmarks import channel as part

    show(part.METHOD, part.measure(quick), as_json)


def path(
    queries: Annotated[int, typer.Option(min=20, help="Queries of each measurement.")] = 500,
    entries: Annotated[int, typer.Option(min=256, help="Entries of the gallery.")] = 10_000,
    edges: Annotated[int, typer.Option(min=2, max=256, help="Edges at once.")] = 16,
    as_json: JsonTargets = None,
) -> None:
    """Measure the whole path over three processes, beside its stages measured bare."""
    check_json(*as_json or ())
    from benchmarks import path as part

    asked = part.Settings(queries=queries, entries=entries, edges=edges)
    measured = _with_bar("path", part.steps(asked), lambda tick: part.measure(asked, tick))
    show(part.METHOD, measured, as_json)


def start(
    entries: Annotated[int, typer.Option(min=256, help="Entries of the gallery.")] = 10_000,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Starts of each.")] = 5,
    as_json: JsonTargets = None,
) -> None:
    """Measure start-up time and memory of each role."""
    check_json(*as_json or ())
    from benchmarks import start as part

    asked = part.Settings(entries=entries, rounds=rounds)
    measured = _with_bar("starts", part.STEPS, lambda tick: part.measure(asked, tick))
    show(part.METHOD, measured, as_json)


def _with_bar(
    what: str, steps: int, measure: Callable[[Callable[[], object]], list[Row]]
) -> list[Row]:
    with progress_bars() as bars:
        task = bars.add_task(what, total=steps)
        return measure(lambda: bars.advance(task))
