"""``airreid train``: from images to a bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress as Bars
from rich.progress import TaskID

from airreid.bundle import Precision
from airreid.console import progress_bars, say
from airreid.datasets import DataSet, open_data
from airreid.datasets.cli import BoxesChoice, BoxesOption, boxes_of, told
from airreid.datasets.readable import readable
from airreid.errors import AirReidError, InputError
from training.engine.progress import Progress
from training.recipes.load import RECIPES, by_timm, load_recipe, with_options
from training.recipes.recipe import Recipe
from training.runs.place import check_outside

app = typer.Typer(no_args_is_help=True, help="Train models and export bundles.")


class BarReport:
    """Report of a run as progress bars on standard error."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._loss, self._top1 = 0.0, 0.0

    def _task(self, name: str, total: int) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        return self._tasks[name]

    def phase(self, name: str, steps: int) -> Callable[[], object]:
        task = self._task(name, steps)
        return lambda: self._bars.advance(task)

    def note(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def network(self, name: str, progress: Progress) -> None:
        """Shows one bar a network, so that the time left is that of all its epochs."""
        known = name in self._tasks
        keep = 0.95 if known and progress.step else 0.0
        self._loss = keep * self._loss + (1 - keep) * progress.loss
        self._top1 = keep * self._top1 + (1 - keep) * progress.batch_top1
        done = progress.epoch * progress.steps + progress.step + 1
        task = self._task(name, progress.epochs * progress.steps)
        text = f"{name}, epoch {progress.epoch + 1}/{progress.epochs}  loss {self._loss:.3f}"
        text += f"  batch top-1 {self._top1:.3f}"
        for metric, value in progress.metrics.items():
            text += f"  {metric} {value:.1f}"
        if progress.validation_top1 is not None:
            text += f"  held out {progress.validation_top1:.3f}"
        if not known:  # a run that goes on: what was done before has no part in the speed
            self._bars.reset(task, completed=done - 1, total=progress.epochs * progress.steps)
        self._bars.update(task, completed=done, description=text)


class Precisions(Enum):
    """Precisions of the backbones in a bundle."""

    INT8 = "int8"
    FP32 = "fp32"
    BOTH = "both"


_PRECISIONS: dict[Precisions, tuple[Precision, ...]] = {
    Precisions.INT8: ("int8",),
    Precisions.FP32: ("fp32",),
    Precisions.BOTH: ("int8", "fp32"),
}

Data = Annotated[
    str | None,
    typer.Option(
        help="Data set: see 'airreid data check'. A folder of "
        "<identity>/<camera>/<image>, say. The recipe's synthetic people if left out."
    ),
]
Protocol = Annotated[
    str | None, typer.Option(help="Protocol of the data set; its first one if left out.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value of the recipe, such as backbone.learning.lr=0.01."),
]
Cache = Annotated[
    Path | None, typer.Option(help="Folder for decoded images; OUT/cache if left out.")
]
RECIPE_HELP = f"{', '.join(RECIPES)}, or a recipe's JSON file."


def training_data(
    data: str | None, protocol: str | None, boxes: BoxesChoice | None, cache: Path
) -> DataSet | None:
    """Opens what a recipe trains on, without images that cannot be read."""
    if data is None or data == "synthetic":
        return None
    opened = open_data(data, protocol, boxes_of(boxes))
    with progress_bars() as bars:
        return told(readable(opened, cache, BarReport(bars).phase, ["train"]))


def require_torch() -> None:
    """Loads PyTorch: only now, so that help and what is wrong with the data need none.

    Raises :class:`AirReidError` where a package of the extra is missing.
    """
    try:
        import onnx2torch  # noqa: F401
        import onnxscript  # noqa: F401
        import torch  # noqa: F401
        import torchvision  # noqa: F401
    except ModuleNotFoundError as error:
        raise AirReidError(
            f"'airreid train' needs {error.name}: install AirReID with the extra training, in a "
            "checkout .venv/bin/pip install -e '.[training]'"
        ) from None


@app.command("run")
def run_command(
    recipe: Annotated[str, typer.Argument(help=RECIPE_HELP)],
    out: Annotated[Path, typer.Option(help="Folder of the run; a stopped run goes on there.")],
    data: Data = None,
    protocol: Protocol = None,
    boxes: BoxesOption = None,
    settings: Settings = None,
    cache: Cache = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="timm:NAME, with ImageNet weights; or a folder of a run whose backbone is taken "
            "instead of training one; for recipe site an ONNX network that others trained, or a "
            "file of ResNet weights."
        ),
    ] = None,
    joint: Annotated[
        bool, typer.Option("--joint", help="Recipe site: train the network too, not codes alone.")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(help="Recipe site: minutes of joint training, 20 if left out.")
    ] = None,
    share: Annotated[
        str | None,
        typer.Option(
            help="Recipe site: share of the trained weights in the network, 0 to 1, the rest as "
            "it was given; auto if left out: chosen on held-out people."
        ),
    ] = None,
    tracks: Annotated[
        Path | None,
        typer.Option(
            help="Recipe site: tracks beside DATA's identities, <camera>/<track>/<image>."
        ),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(help="Recipe site: data of another site to measure on; may be repeated."),
    ] = None,
) -> None:
    """Train a recipe and leave a bundle in OUT/bundle.

    Several processes: torchrun --nproc-per-node 2 -m airreid.cli train run ...
    """
    chosen = load_recipe(recipe, settings or [])
    if chosen.starts_from_network:
        chosen = with_options(chosen, joint, minutes, share)
        if protocol is not None or boxes is not None:
            raise InputError(
                "recipe site: opens its data as 'airreid adopt' does, without --protocol"
            )
        _run_site(chosen, backbone, data, tracks, also or [], out, cache)
        return
    given: dict[str, object] = {"--joint": joint, "--minutes": minutes, "--share": share}
    given |= {"--tracks": tracks, "--also": also}
    for option, value in given.items():
        if value:
            raise InputError(f"{option}: only for recipe site; recipe {recipe} has no use for it")
    if backbone is not None and backbone.startswith("timm:"):
        chosen = load_recipe(recipe, [*by_timm(chosen, backbone), *(settings or [])])
        backbone = None
    other_run = None if backbone is None else Path(backbone)
    opened = training_data(data, protocol, boxes, cache or out / "cache")
    require_torch()
    from training.pipeline import run_recipe

    with _told_if_stopped(out), progress_bars() as bars:
        bundle = run_recipe(chosen, opened, out, BarReport(bars), cache, other_run)
    if bundle is not None:
        typer.echo(f"{bundle.path}: bundle {bundle.bundle_id} with {', '.join(bundle.scheme_ids)}")
    else:
        typer.echo(f"{out}: done")


@contextmanager
def _told_if_stopped(out: Path) -> Iterator[None]:
    """Says how a run is continued that a signal ends."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        say(
            f"{out}: stopped; the same command goes on, a training from its last checkpoint",
            err=True,
        )
        raise


def _run_site(
    recipe: Recipe,
    network: str | None,
    data: str | None,
    tracks: Path | None,
    also: list[str],
    out: Path,
    cache: Path | None,
) -> None:
    """Trains recipe site and tells what came of it."""
    if network is None:
        raise InputError("recipe site: give the network with --backbone NETWORK.onnx or timm:NAME")
    if data is None:
        raise InputError("recipe site: give the site's crops with --data DIR")
    named = [("--data", data), ("--tracks", tracks)]
    named += [("--backbone", network)] if not network.startswith("timm:") else []
    for option, path in named:
        if path is not None and str(path) != "synthetic" and not Path(path).exists():
            raise InputError(f"{option} {path}: not there")
    check_outside(out, [Path(data), *([tracks] if tracks else []), *map(Path, also)])
    elsewhere = tuple(open_data(source) for source in also)
    require_torch()
    from training.site.run import SiteRun, train_site
    from training.site.start import start_from

    with _told_if_stopped(out), progress_bars() as bars:
        report = BarReport(bars)
        cache = cache or out / "cache"
        elsewhere = tuple(told(readable(data, cache, report.phase)) for data in elsewhere)
        start = start_from(network, recipe, cache, report)
        run = SiteRun(start.recipe, start.path, data, out, cache, elsewhere, tracks, start.origin)
        result = train_site(run, report)
    for line in result.lines:
        typer.echo(line)
    bundle = result.bundle
    typer.echo(f"{bundle.path}: bundle {bundle.bundle_id} with {', '.join(bundle.scheme_ids)}")


@app.command("export")
def export_command(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle.")],
    scheme: Annotated[
        list[str] | None, typer.Option(help="Scheme to take; may be repeated; all if left out.")
    ] = None,
    precision: Annotated[
        Precisions, typer.Option(help="Precision of the backbones.")
    ] = Precisions.BOTH,
    name: Annotated[
        str | None, typer.Option(help="Name of the bundle; the recipe's if left out.")
    ] = (None),
    licence: Annotated[str | None, typer.Option(help="What the model card says of it.")] = None,
) -> None:
    """Put schemes of one run or several into one bundle, with proof that it works."""
    precisions = _PRECISIONS[precision]
    require_torch()
    from training.export.bundle import export_runs

    with progress_bars() as bars:
        bundle = export_runs(runs, out, precisions, BarReport(bars), scheme or [], name, licence)
    typer.echo(f"{bundle.path}: bundle {bundle.bundle_id} with {', '.join(bundle.scheme_ids)}")


@app.command("recipe")
def recipe_command(
    recipe: Annotated[str, typer.Argument(help=RECIPE_HELP)], settings: Settings = None
) -> None:
    """Print a recipe as JSON, to read, or to change and give to 'run' as a file."""
    typer.echo(load_recipe(recipe, settings or []).model_dump_json(indent=2))


@app.command("extend")
def extend_command(
    bundle: Annotated[Path, typer.Argument(help="Bundle whose backbone is used as it is.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; a stopped run goes on there.")],
    recipe: Annotated[str, typer.Option(help=RECIPE_HELP)] = "demo",
    data: Data = None,
    protocol: Protocol = None,
    boxes: BoxesOption = None,
    settings: Settings = None,
    cache: Cache = None,
) -> None:
    """Train the recipe's schemes that BUNDLE has not and leave the whole in OUT/bundle."""
    chosen = load_recipe(recipe, settings or [])
    opened = training_data(data, protocol, boxes, cache or out / "cache")
    require_torch()
    from training.extend import extend_bundle

    with progress_bars() as bars:
        extended = extend_bundle(bundle, chosen, opened, out, BarReport(bars), cache)
    schemes = ", ".join(extended.scheme_ids)
    typer.echo(f"{extended.path}: bundle {extended.bundle_id} with {schemes}")
