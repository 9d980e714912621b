"""``airreid train``: from images to a bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress as Bars
from rich.progress import TaskID

from airreid.console import progress_bars
from training.data_cli import check_data_command
from training.extend import extend_bundle
from training.pipeline import run_recipe
from training.recipe import RECIPES, load_recipe
from training.train_backbone import Progress
from training.train_codec import CodecProgress
from training.train_digital import DigitalProgress

app = typer.Typer(no_args_is_help=True, help="Train models and export bundles.")
app.command("check-data")(check_data_command)


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

    def digital(self, scheme_id: str, progress: DigitalProgress) -> None:
        self._bars.update(
            self._task(scheme_id, progress.epochs),
            completed=progress.epoch + 1,
            description=f"{scheme_id}  {progress.bits:.1f} bits  held out {progress.top1:.3f}",
        )


Data = Annotated[
    Path | None,
    typer.Option(help="Folder of <identity>/<camera>/<image>; synthetic people if left out."),
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="key=value of the recipe; may be repeated.")
]
Cache = Annotated[
    Path | None, typer.Option(help="Folder for decoded images; OUT/cache if left out.")
]
RECIPE_HELP = f"{', '.join(RECIPES)}, or a recipe's JSON file."


@app.command("run")
def run_command(
    recipe: Annotated[str, typer.Argument(help=RECIPE_HELP)],
    out: Annotated[Path, typer.Option(help="Folder of the run; a stopped run goes on there.")],
    data: Data = None,
    settings: Settings = None,
    cache: Cache = None,
) -> None:
    """Train a recipe and leave a bundle in OUT/bundle."""
    chosen = load_recipe(recipe, settings or [])
    with progress_bars() as bars:
        bundle = run_recipe(chosen, data, out, _Shown(bars), cache)
    typer.echo(f"{bundle.path}: bundle {bundle.bundle_id} with {', '.join(bundle.scheme_ids)}")


@app.command("extend")
def extend_command(
    bundle: Annotated[Path, typer.Argument(help="Bundle whose backbone is used as it is.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; a stopped run goes on there.")],
    recipe: Annotated[str, typer.Option(help=RECIPE_HELP)] = "demo",
    data: Data = None,
    settings: Settings = None,
    cache: Cache = None,
) -> None:
    """Train the recipe's schemes that BUNDLE has not and leave the whole in OUT/bundle."""
    chosen = load_recipe(recipe, settings or [])
    with progress_bars() as bars:
        made = extend_bundle(bundle, chosen, data, out, _Shown(bars), cache)
    typer.echo(f"{made.path}: bundle {made.bundle_id} with {', '.join(made.scheme_ids)}")
