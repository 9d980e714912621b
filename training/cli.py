"""``airreid train``: from images to a bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress as Bars
from rich.progress import TaskID

from airreid.console import progress_bars
from training.pipeline import run_recipe
from training.recipe import RECIPES, load_recipe
from training.train_backbone import Progress
from training.train_codec import CodecProgress

app = typer.Typer(no_args_is_help=True, help="Train models and export bundles.")


class _Shown:
    """Progress bars on standard error."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._loss, self._accuracy = 0.0, 0.0

    def _task(self, name: str, total: int) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        return self._tasks[name]

    def phase(self, name: str, steps: int) -> Callable[[], object]:
        task = self._task(name, steps)
        return lambda: self._bars.advance(task)

    def backbone(self, progress: Progress) -> None:
        name = f"backbone, epoch {progress.epoch + 1}/{progress.epochs}"
        keep = 0.95 if progress.step else 0.0
        self._loss = keep * self._loss + (1 - keep) * progress.loss
        self._accuracy = keep * self._accuracy + (1 - keep) * progress.accuracy
        self._bars.update(
            self._task(name, progress.steps),
            completed=progress.step + 1,
            description=f"{name}  loss {self._loss:.3f}  batch top-1 {self._accuracy:.3f}",
        )

    def codec(self, scheme_id: str, progress: CodecProgress) -> None:
        self._bars.update(
            self._task(scheme_id, progress.epochs),
            completed=progress.epoch + 1,
            description=f"{scheme_id}  loss {progress.loss:.3f}  held out {progress.top1:.3f}",
        )


@app.callback()
def _group() -> None:
    """Keeps ``run`` a sub-command while it is the only one."""


@app.command("run")
def run_command(
    recipe: Annotated[str, typer.Argument(help=f"{', '.join(RECIPES)}, or a recipe's JSON file.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; a stopped run goes on there.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of <identity>/<camera>/<image>; synthetic people if left out."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the recipe; may be repeated.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for decoded images; OUT/cache if left out.")
    ] = None,
) -> None:
    """Train a recipe and leave a bundle in OUT/bundle."""
    chosen = load_recipe(recipe, settings or [])
    with progress_bars() as bars:
        bundle = run_recipe(chosen, data, out, _Shown(bars), cache)
    typer.echo(f"{bundle.path}: bundle {bundle.bundle_id} with {', '.join(bundle.scheme_ids)}")
