"""``airreid bench train``: a training step beside the plain PyTorch loop."""

from __future__ import annotations

import os
from functools import partial
from typing import Annotated, Any

import typer

from airreid.json_output import JsonTargets, check_json, prints_json, write_json
from benchmarks import rows
from benchmarks.rows import Row

METHOD = "in turns of one step each, the first not counted; medians"
RATIO_LIMIT = 2.0
PRODUCT = "fp32 matrix products of as many multiplications"


def training_command(
    height: Annotated[int, typer.Option(min=32, max=512)] = 256,
    width: Annotated[int, typer.Option(min=16, max=512)] = 128,
    batch: Annotated[int, typer.Option(min=2, max=1024)] = 16,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Turns of one step each.")] = 7,
    compiled: Annotated[bool, typer.Option("--compile", help="Ours through torch.compile.")] = (
        False
    ),
    threads: Annotated[int, typer.Option(min=0, max=256, help="0: one per core.")] = 0,
    as_json: JsonTargets = None,
) -> None:
    """Measure a training step beside the plain PyTorch loop."""
    from benchmarks.training_step import measure  # torch takes seconds to load

    check_json(*as_json or ())
    echo = partial(typer.echo, err=prints_json(as_json))

    row = measure(height, width, batch, rounds, compiled, threads or os.cpu_count() or 1)
    low, high = row["ratio_quartiles"]
    echo(
        f"{row['name']}, {row['precision']}: {row['ours']:g} images/s, {row['peer_name']}: "
        f"{row['peer']:g}; ratio {row['ratio']:g} (quartiles {low:g} to {high:g}); "
        f"{PRODUCT}: {row['product']:g}"
    )
    content = rows.report(METHOD, as_rows(row, rounds)).model_dump(mode="json")
    write_json(as_json, content | {"results": row})


def as_rows(measured: dict[str, Any], rounds: int) -> list[Row]:
    """Makes the rows of the figures."""
    low, high = measured["ratio_quartiles"]
    name, unit, ours = measured["name"], measured["unit"], measured["ours"]
    return [
        rows.row(
            name,
            unit,
            ours,
            measured["peer"],
            measured["peer_name"],
            measured["ratio"],
            limit=RATIO_LIMIT,
            repetitions=rounds,
            note=f"{measured['precision']}{', compiled' if measured['compiled'] else ''}; "
            f"quartiles of the ratio {low:g} to {high:g}",
        ),
        rows.row(name, unit, ours, measured["product"], PRODUCT, repetitions=rounds),
    ]
