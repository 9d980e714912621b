"""``airreid evaluate`` and ``airreid sweep``: results in numbers and figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from airreid.bundle import load_bundle
from airreid.console import note, progress_bars
from airreid.datasets.cli import BoxesChoice, BoxesOption, boxes_of, told
from airreid.datasets.dataset import DataSet
from airreid.datasets.open import families_of, open_data, open_splits
from airreid.datasets.readable import readable
from airreid.datasets.synthetic.reader import SYNTHETIC
from airreid.errors import InputError
from airreid.evaluation.evaluate import PCA_IMAGES, Settings, about, evaluate
from airreid.evaluation.features import Phase, default_cache
from airreid.evaluation.figures import Figure, Plot
from airreid.evaluation.fitted import about_fitted, evaluate_fitted
from airreid.evaluation.point_files import document, lines, write_csv
from airreid.evaluation.splits import evaluate_splits
from airreid.evaluation.sweep import bandwidth_of, redraw, sweep
from airreid.evaluation.uses import measure_uses, nested_schemes, uses_description
from airreid.evaluation.uses_drawing import draw_uses, uses_lines
from airreid.json_output import JsonTargets, check_json, prints_json, write_json
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN

DEFAULT_SNRS_DB = (-10.0, -6.0, -3.0, 0.0, 3.0, 6.0, 10.0, 20.0)
USES_SNRS_DB = (-10.0, -5.0, 0.0, 5.0, 10.0, 20.0)

DATA_HELP = "Folder, CUHK03's .mat file, or 'synthetic'."
DataOption = Annotated[str, typer.Option(help=DATA_HELP)]
ProtocolOption = Annotated[
    str | None, typer.Option(help="One of the data set's protocols; its first if left out.")
]
SnrOption = Annotated[
    list[float] | None,
    typer.Option(help="SNR in dB per real channel use; may be repeated. -10 to 20 if left out."),
]
SchemeOption = Annotated[
    list[str] | None, typer.Option(help="Scheme id; may be repeated. All if left out.")
]
SeedsOption = Annotated[int, typer.Option(min=1, max=1000, help="Noise seeds per point.")]
PcaOption = Annotated[
    int, typer.Option(min=0, help="Training images that PCA is fitted on; 0 leaves PCA out.")
]
CacheOption = Annotated[
    Path | None, typer.Option(help="Folder for features; the user's cache folder if left out.")
]


def phases(bars: Progress) -> Phase:
    """Shows every phase as a bar."""

    def phase(name: str, steps: int) -> Callable[[], object]:
        task = bars.add_task(name, total=steps)
        return lambda: bars.advance(task)

    return phase


def checked_snrs(snr: Sequence[float] | None) -> tuple[float, ...]:
    """Sorts SNRs and drops repeated ones. Raises :class:`InputError` for one out of range."""
    for value in snr or ():
        if not SNR_DB_MIN <= value <= SNR_DB_MAX:
            raise InputError(f"--snr {value:g}: use {SNR_DB_MIN:g} to {SNR_DB_MAX:g} dB")
    return tuple(sorted(set(snr or DEFAULT_SNRS_DB)))


def check_writable(option: str, path: Path | None) -> None:
    """Raises :class:`InputError` before the work where a result could not be kept after it."""
    if path is not None and not path.resolve().parent.is_dir():
        raise InputError(f"{option} {path}: no such folder")
    if path is not None:
        path.open("a").close()


def evaluate_command(
    data: DataOption,
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle to measure; the demo's if left out.")
    ] = None,
    fit_on: Annotated[
        str | None,
        typer.Option(
            help="Data set of another site: codes of the bundle's bandwidths, and PCA, are fitted "
            "on its training images and measured too."
        ),
    ] = None,
    protocol: ProtocolOption = None,
    boxes: BoxesOption = None,
    snr: SnrOption = None,
    scheme: SchemeOption = None,
    seeds: SeedsOption = 5,
    pca_images: PcaOption = PCA_IMAGES,
    cache: CacheOption = None,
    as_json: JsonTargets = None,
    as_csv: Annotated[
        Path | None, typer.Option("--csv", help="Write every point to this file, one a line.")
    ] = None,
) -> None:
    """Measure a bundle's schemes on a data set, beside PCA and the features without a channel.

    A protocol that stands for many splits, as --protocol old of CUHK03, gives means over
    the splits and standard deviations. With --fit-on one sees what a code that is learned at
    one site is worth at another.
    """
    loaded, splits = load_bundle(bundle), None
    loaded.require_schemes()
    if protocol is not None and protocol in families_of(data):
        if fit_on is not None:
            raise InputError(f"--protocol {protocol}: many splits; give one of them with --fit-on")
        splits = open_splits(data, protocol, boxes_of(boxes))
        opened = splits.data_sets[0]
    else:
        opened = readable_data(data, protocol, boxes, cache)
    settings = Settings(
        snrs_db=checked_snrs(snr),
        cache=cache or default_cache(),
        seeds=seeds,
        schemes=tuple(scheme or ()),
        pca_images=pca_images,
    )
    check_json(*as_json or ())
    check_writable("--csv", as_csv)
    notes: list[str] = []
    if fit_on is not None:
        fit = readable_data(fit_on, protocol if _same(fit_on, data) else None, boxes, cache)
    with progress_bars() as bars:
        if fit_on is not None:
            points, codes = evaluate_fitted(loaded, fit, opened, settings, phases(bars))
            notes = [f"{code.scheme:<22} fitted: {code.words}" for code in codes]
        elif splits is not None:
            points = evaluate_splits(loaded, splits, settings, phases(bars))
        else:
            points = evaluate(loaded, opened, settings, phases(bars))
    if fit_on is not None:
        description = about_fitted(loaded, opened, settings, fit["train"], fit.label)
    else:
        description = about([loaded], opened, settings, splits)
    if not prints_json(as_json):
        for line in [*lines(description, points), *notes]:
            typer.echo(line)
    written = write_json(as_json, document(description, points))
    if as_csv is not None:
        write_csv(as_csv, description, points)
        written.append(as_csv)
    for path in written:
        note(f"wrote {path}")


def readable_data(
    source: str, protocol: str | None, boxes: BoxesChoice | None, cache: Path | None
) -> DataSet:
    """Opens a data set without the images that cannot be read, and says how many they are."""
    data = open_data(source, protocol, boxes_of(boxes))
    if source == SYNTHETIC:  # drawn anew each time, and always readable
        return data
    with progress_bars() as bars:
        return told(readable(data, cache or default_cache(), phases(bars)))


def _same(first: str, second: str) -> bool:
    """Whether two options name one data set, which is then opened under one protocol."""
    return first == second or Path(first).resolve() == Path(second).resolve()


class FigureChoice(Enum):
    """A panel of the paper's Figure 4."""

    A = "4a"
    B = "4b"
    C = "4c"
    USES = "uses"


_FIGURES: dict[FigureChoice, Figure] = {
    FigureChoice.A: "4a",
    FigureChoice.B: "4b",
    FigureChoice.C: "4c",
}


def sweep_command(
    figure: Annotated[
        FigureChoice,
        typer.Option(
            help="4a: schemes against SNR, each trained for it. 4b: trained once, tested at "
            "every SNR. 4c: against bandwidth. uses: nested schemes against channel uses, fixed "
            "and until enough was heard."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the figure and its numbers (.json).")],
    bundle: Annotated[
        list[Path] | None, typer.Option(help="Bundle to measure; may be repeated.")
    ] = None,
    data: Annotated[str | None, typer.Option(help=DATA_HELP)] = None,
    points: Annotated[
        list[Path] | None,
        typer.Option(
            help="Draw what this file has, in place of --bundle and --data: of another figure, "
            "or of 'evaluate --json'; may be repeated."
        ),
    ] = None,
    protocol: ProtocolOption = None,
    boxes: BoxesOption = None,
    snr: SnrOption = None,
    bandwidth: Annotated[
        int | None, typer.Option(help="Of 4a and 4b; 256 where there is such a scheme.")
    ] = None,
    scheme: SchemeOption = None,
    seeds: SeedsOption = 5,
    pca_images: PcaOption = PCA_IMAGES,
    cache: CacheOption = None,
) -> None:
    """Measure a figure of the paper and draw it."""
    if figure is FigureChoice.USES:
        if bandwidth is not None:
            raise InputError("--figure uses shows every number of uses: leave out --bandwidth")
        _sweep_uses(out, bundle or [], data, points, protocol, boxes, snr, scheme, seeds, cache)
        return
    chosen = _FIGURES[figure]
    if points:
        if bundle or data:
            raise InputError("--points: what is measured already needs no --bundle and no --data")
        out.mkdir(parents=True, exist_ok=True)
        _tell(chosen, *redraw(chosen, points, scheme or (), bandwidth, snr or (), out))
        return
    if not bundle or data is None:
        raise InputError("give --bundle and --data to measure, or --points of what is measured")
    loaded = [load_bundle(path) for path in bundle]
    for opened_bundle in loaded:
        opened_bundle.require_schemes()
    width = bandwidth_of(loaded, bandwidth)
    opened = readable_data(data, protocol, boxes, cache)
    settings = Settings(
        snrs_db=checked_snrs(snr),
        cache=cache or default_cache(),
        seeds=seeds,
        schemes=tuple(scheme or ()),
        pca_images=pca_images,
    )
    out.mkdir(parents=True, exist_ok=True)
    with progress_bars() as bars:
        drawn, paths = sweep(chosen, loaded, opened, settings, width, out, phases(bars))
    _tell(chosen, drawn, paths)


def _tell(figure: Figure, drawn: Plot, paths: Sequence[Path]) -> None:
    typer.echo(drawn.title)
    for curve in drawn.curves:
        values = "  ".join(
            f"{x:+g}: {p.top1:.3f}" if figure != "4c" else f"B {x:g}: {p.top1:.3f}"
            for x, p in zip(curve.x, curve.points, strict=True)
        )
        typer.echo(f"{curve.label:<45} {values}")
    for remark in drawn.notes:
        typer.echo(f"note: {remark}")
    for path in paths:
        typer.echo(f"wrote {path}")


def _sweep_uses(
    out: Path,
    bundles: Sequence[Path],
    data: str | None,
    points: Sequence[Path] | None,
    protocol: str | None,
    boxes: BoxesChoice | None,
    snr: Sequence[float] | None,
    schemes: Sequence[str] | None,
    seeds: int,
    cache: Path | None,
) -> None:
    """Measures and draws top-1 against channel uses."""
    if points or len(bundles) != 1 or data is None:
        raise InputError("--figure uses: give one --bundle and --data to measure")
    loaded = load_bundle(bundles[0])
    settings = Settings(
        snrs_db=checked_snrs(snr or USES_SNRS_DB),
        cache=cache or default_cache(),
        seeds=seeds,
        schemes=tuple(schemes or ()),
        pca_images=0,
    )
    nested_schemes(loaded, settings.schemes)
    opened = readable_data(data, protocol, boxes, cache)
    out.mkdir(parents=True, exist_ok=True)
    with progress_bars() as bars:
        measured = measure_uses(loaded, opened, settings, phases(bars))
    for line in uses_lines(measured):
        typer.echo(line)
    paths = [out / "figure-uses.json"]
    description = uses_description(about([loaded], opened, settings), measured)
    paths[0].write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    subtitle = f"{opened.label}; {seeds} noise seeds, 95 % intervals"
    paths += draw_uses(measured, subtitle, out / "figure-uses.png")
    for path in paths:
        typer.echo(f"wrote {path}")
