"""``airreid study``: the paper's figures and claims on one network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from airreid.adopt.cli import size_of
from airreid.adopt.preprocessing import ALIASES, PRESETS
from airreid.console import progress_bars
from airreid.errors import InputError
from airreid.evaluation.study.anchors import anchors_markdown
from airreid.evaluation.study.claims import claims_markdown, judged
from airreid.evaluation.study.figures import figures_of, write_figure
from airreid.evaluation.study.page import fill_page, finished_markdown, page_parts
from airreid.evaluation.study.plan import Plan, shared_settings, write_plan
from airreid.evaluation.study.results import (
    Results,
    check_same,
    joined,
    other_features,
    read_results,
    write_results,
)
from airreid.evaluation.study.table import table_of
from training.cli import BarReport, require_torch

if TYPE_CHECKING:
    from training.study.start import Begun

app = typer.Typer(no_args_is_help=True, help="Train and measure the paper's figures and claims.")


class Study(Enum):
    """Studies that there are."""

    FROZEN = "frozen"
    JOINT = "joint"


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
        Study,
        typer.Argument(
            help="frozen: codes on features of a network as it is; joint: network and code "
            "trained together."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the study; a stopped one goes on there.")],
    data: Annotated[str | None, typer.Option(help="Data set: see 'airreid data check'.")] = None,
    network: Annotated[
        Path | None,
        typer.Option(
            help="ONNX network that others trained; see 'airreid adopt'. Study frozen also takes "
            "a bundle's folder, and measures its codes beside the others."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Its preprocessing; found by trying if left out.")
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(help="Study joint: HEIGHTxWIDTH of the crops; what the network declares."),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            help="Folder of its features or images; OUT/features if left out. Made if missing."
        ),
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
    results: Annotated[
        list[Path] | None,
        typer.Option(
            help="Results of others ('airreid study results'), of the same features: their cells "
            "are not computed again; may be repeated."
        ),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Say which cells are missing.")] = False,
) -> None:
    """Compute a study's cells, each once; draw figures and claims when all are there."""
    require_torch()
    from training.recipes.base import Engine
    from training.study.run import StudyRun, chosen_cells
    from training.study.start import Given, frozen_study, joint_study

    folder = features or out / "features"
    part = _shard(shard)
    if preset is not None and preset not in PRESETS and preset not in ALIASES:
        raise InputError(f"--preset {preset}: there are {', '.join((*PRESETS, *ALIASES))}")
    size = size_of(resize)
    if size is not None and study is not Study.JOINT:
        raise InputError("--resize: study frozen takes the size that the network declares")
    begin = joint_study if study is Study.JOINT else frozen_study
    engine = Engine(device=_DEVICES[device], tensorboard=False)
    with progress_bars() as bars:
        report = BarReport(bars)
        begun = begin(Given(folder, data, network, preset, size, quick), listed, report.phase)
        chosen = chosen_cells(begun.cells, only or [], part)
        if begun.source is None:
            for spec in chosen:
                typer.echo(spec.name)
            return
        plan = _plan(study, quick, begun)
        others = [read_results(folder) for folder in results or []]
        elsewhere = _keys(out, plan, others)
        run = StudyRun(out, work or out / "work", begun.source, engine, report, elsewhere)
        unfinished = {spec.name for spec in run.unfinished(begun.cells)}
        shared = [spec.name for spec in run.missing(chosen) if spec.name not in unfinished]
        if shared:
            typer.echo(f"finished in the results of others: {', '.join(shared)}", err=True)
        if listed:
            for spec in chosen:
                if spec.name in unfinished:
                    typer.echo(spec.name)
            return
        write_plan(out, plan)
        for spec in chosen:
            if spec.name not in unfinished:
                continue
            if run.missing([cell for cell in begun.cells if cell.name in spec.follows]):
                typer.echo(f"{spec.name}: waits for {spec.follows[0]} and the like")
                continue
            cell = run.compute(spec)
            typer.echo(f"{spec.name}: {cell.seconds:.0f} s")
    if begun.note:
        typer.echo(begun.note)
    if not run.unfinished(begun.cells):
        _draw([read_results(out, folder), *others], out / "figures")


def _plan(study: Study, quick: bool, begun: Begun) -> Plan:
    """Returns what a study has when it is finished, and of which data."""
    assert begun.source is not None
    shared: dict[str, Any] = {}
    for spec in begun.cells:
        shared |= shared_settings(spec.name, spec.settings)
    return Plan(
        study=study.value,
        quick=quick,
        cells=tuple(spec.name for spec in begun.cells),
        shared=shared,
        about=begun.source.about,
    )


def _keys(out: Path, plan: Plan, others: Sequence[Results]) -> dict[str, str]:
    """Returns the keys of cells that others have computed, and says of which features they are."""
    keys: dict[str, str] = {}
    for part in others:
        check_same(out, plan, part)
        for note in (*part.notes, *other_features(plan, part)):
            typer.echo(note, err=True)
        keys = {name: cell.key for name, cell in part.cells.items()} | keys
    return keys


@app.command("figures")
def figures_command(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Folder of a study, all its cells there or not, and results of others ('airreid "
            "study results'). Of a cell that several have, the first counts."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the figures.")],
    features: Annotated[
        Path | None,
        typer.Option(help="Folder of the first one's features; FOLDER/features if left out."),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(help="Page whose parts '<!-- study NAME PART -->' are written anew."),
    ] = None,
    name: Annotated[str, typer.Option(help="NAME of the study in the page.")] = "frozen",
) -> None:
    """Draw figures and claims of the cells that there are."""
    first, *others = folders
    parts = [read_results(first, features), *(read_results(folder) for folder in others)]
    _draw(parts, out, page, name)


@app.command("results")
def results_command(
    folder: Annotated[Path, typer.Argument(help="Folder of a study, all its cells there or not.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; later calls add to it.")],
    features: Annotated[
        Path | None, typer.Option(help="Folder of its features; FOLDER/features if left out.")
    ] = None,
) -> None:
    """Write finished cells for others: who was found, and nothing of anybody's features."""
    results = read_results(folder, features)
    for note in results.notes:
        typer.echo(note, err=True)
    paths = write_results(results, out)
    size = sum(path.stat().st_size for path in paths)
    typer.echo(f"wrote {len(paths)} cells, {size / 1e3:.0f} kB, to {out}")


def _draw(parts: list[Results], out: Path, page: Path | None = None, name: str = "") -> None:
    results = joined(*parts)
    for note in results.notes:
        typer.echo(note, err=True)
    if not results.plan.cells:
        typer.echo(
            f"{results.folder}: never said which cells it is to have, so what is missing is not "
            "known; 'airreid study run' says it there"
        )
    table, about = table_of(results), results.plan.about
    for figure in figures_of(table):
        for written in write_figure(figure, table, about, out):
            typer.echo(f"wrote {written}")
    claims = judged(table)
    text = f"{claims_markdown(claims)}\n{finished_markdown(table)}"
    if anchors := anchors_markdown(table.cells, table.snrs_db, table.published.anchors):
        text += f"\n{anchors}"
    (out / "claims.md").write_text(text, encoding="utf-8")
    stored = [{**asdict(claim), "effect": claim.effect._asdict()} for claim in claims]
    (out / "claims.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    typer.echo(f"wrote {out / 'claims.md'}")
    if page is not None:
        fill_page(page, name, page_parts(table, claims, about))
        typer.echo(f"wrote {page}")


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
