"""``airreid study``: the paper's figures and claims on one network."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from airreid.adopt.preprocessing import ALIASES, PRESETS
from airreid.console import progress_bars
from airreid.errors import InputError
from airreid.evaluation.study.anchors import anchors_markdown
from airreid.evaluation.study.claims import claims_markdown, judged
from airreid.evaluation.study.figures import write_figure
from airreid.evaluation.study.table import read_table
from training.cli import BarReport, require_torch

if TYPE_CHECKING:
    from training.study.compressed import CompressedQueries
    from training.study.features import StudyFeatures

app = typer.Typer(no_args_is_help=True, help="Train and measure the paper's figures and claims.")


class Study(Enum):
    """Studies that there are."""

    FROZEN = "frozen"


class Device(Enum):
    """Devices that networks are trained on."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


@app.callback()
def _root() -> None:
    """Train and measure the paper's figures and claims."""


@app.command("run")
def run_command(
    study: Annotated[
        Study, typer.Argument(help="frozen: codes on features of a network as it is.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the study; a stopped one goes on there.")],
    data: Annotated[str | None, typer.Option(help="Data set: see 'airreid data check'.")] = None,
    network: Annotated[
        Path | None, typer.Option(help="ONNX network that others trained; see 'airreid adopt'.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Its preprocessing; found by trying if left out.")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(help="Folder of its features; OUT/features if left out. Made if missing."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Every figure in minutes: one training, few steps.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Cells to compute, such as 'ae-paper-*'; may be repeated."),
    ] = None,
    shard: Annotated[
        str, typer.Option(help="I/N: the I-th part of N, for N processes side by side.")
    ] = "1/1",
    device: Annotated[Device, typer.Option(help="Device that is trained on.")] = Device.AUTO,
    work: Annotated[
        Path | None, typer.Option(help="Folder of checkpoints; OUT/work if left out.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Say which cells are missing.")] = False,
) -> None:
    """Compute a study's cells, each once; draw figures and claims when all are there."""
    require_torch()
    from training.recipes.base import Engine
    from training.study.features import open_features
    from training.study.run import StudyRun, cells_of, chosen_cells
    from training.study.settings import StudySettings
    from training.study.settings import quick as quickly

    settings = quickly(StudySettings()) if quick else StudySettings()
    folder = features or out / "features"
    part = _shard(shard)
    if preset is not None and preset not in PRESETS and preset not in ALIASES:
        raise InputError(f"--preset {preset}: there are {', '.join((*PRESETS, *ALIASES))}")
    engine = Engine(device=_DEVICES[device], tensorboard=False)
    with progress_bars() as bars:
        report = BarReport(bars)
        if listed and open_features(folder) is None:
            for spec in chosen_cells(cells_of(settings), only or [], part):
                typer.echo(spec.name)
            return
        stored, images = _made(folder, data, network, preset, report)
        cells = cells_of(settings, images)
        chosen = chosen_cells(cells, only or [], part)
        run = StudyRun(out, work or out / "work", stored, engine, report)
        missing = run.missing(chosen)
        if listed:
            for spec in missing:
                typer.echo(spec.name)
            return
        for spec in missing:
            if run.missing([cell for cell in cells if cell.name in spec.follows]):
                typer.echo(f"{spec.name}: waits for {spec.follows[0]} and the like")
                continue
            cell = run.compute(spec)
            typer.echo(f"{spec.name}: {cell.seconds:.0f} s")
    if images is None:
        typer.echo("no image anchors: give --data DIR and --network FILE to compute them")
    if not run.missing(cells):
        _draw(out, folder, out / "figures")


def _made(
    folder: Path, data: str | None, network: Path | None, preset: str | None, report: BarReport
) -> tuple[StudyFeatures, CompressedQueries | None]:
    """Opens features and compressed queries, or makes them; of several processes, one does."""
    from training.runs.place import held
    from training.study.compressed import make_compressed, open_compressed
    from training.study.features import make_features, open_features

    stored, images = open_features(folder), open_compressed(folder)
    if data is None or network is None:
        if stored is None:
            raise InputError(f"{folder}: no features; give --data DIR and --network FILE")
        return stored, images
    if stored is None or images is None:
        with held(folder, wait=True):
            stored, images = open_features(folder), open_compressed(folder)
            if stored is None:
                stored = make_features(folder, data, network, preset, report.phase)
            if images is None:
                images = make_compressed(stored, data, network, preset, report.phase)
    return stored, images


@app.command("figures")
def figures_command(
    folder: Annotated[Path, typer.Argument(help="Folder of a study, all its cells there or not.")],
    out: Annotated[Path, typer.Option(help="Folder of the figures.")],
    features: Annotated[
        Path | None, typer.Option(help="Folder of its features; FOLDER/features if left out.")
    ] = None,
) -> None:
    """Draw figures and claims of the cells that there are."""
    _draw(folder, features or folder / "features", out)


def _draw(folder: Path, features: Path, out: Path) -> None:
    table = read_table(folder / "cells")
    path = features / "features.json"
    about = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for figure in ("4a", "4b", "4c"):
        for written in write_figure(figure, table, about, out):
            typer.echo(f"wrote {written}")
    claims = judged(table)
    text = claims_markdown(claims)
    if anchors := anchors_markdown(table.cells, table.snrs_db):
        text += f"\n{anchors}"
    (out / "claims.md").write_text(text, encoding="utf-8")
    stored = [{**asdict(claim), "effect": claim.effect._asdict()} for claim in claims]
    (out / "claims.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    typer.echo(f"wrote {out / 'claims.md'}")


_DEVICES: dict[Device, Literal["auto", "cpu", "cuda"]] = {
    Device.AUTO: "auto",
    Device.CPU: "cpu",
    Device.CUDA: "cuda",
}


def _shard(text: str) -> tuple[int, int]:
    """Reads I/N, counted from 1, as a place from 0 and a number of parts."""
    part, _, parts = text.partition("/")
    if not part.isdecimal() or not parts.isdecimal() or not 1 <= int(part) <= int(parts):
        raise InputError(f"--shard {text}: give I/N, I from 1 to N")
    return int(part) - 1, int(parts)
