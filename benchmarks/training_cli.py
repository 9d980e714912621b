"""``airreid bench train``: a training step beside the plain PyTorch loop."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer


def training_command(
    height: Annotated[int, typer.Option(min=32, max=512)] = 256,
    width: Annotated[int, typer.Option(min=16, max=512)] = 128,
    batch: Annotated[int, typer.Option(min=2, max=1024)] = 16,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Turns of one step each.")] = 7,
    compiled: Annotated[bool, typer.Option("--compile", help="Ours through torch.compile.")] = (
        False
    ),
    threads: Annotated[int, typer.Option(min=0, max=256, help="0: one per core.")] = 0,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write it to this file.")] = None,
) -> None:
    """Measure a training step beside the plain PyTorch loop."""
    from benchmarks.training_step import measure  # torch takes seconds to load

    row = measure(height, width, batch, rounds, compiled, threads or os.cpu_count() or 1)
    low, high = row["ratio_quartiles"]
    typer.echo(
        f"{row['name']}, {row['precision']}: {row['ours']:g} images/s, {row['peer_name']}: "
        f"{row['peer']:g}; ratio {row['ratio']:g} (quartiles {low:g} to {high:g})"
    )
    if as_json is not None:
        as_json.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
