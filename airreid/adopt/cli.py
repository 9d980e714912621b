"""``airreid adopt``: a network that others trained, as a bundle."""

from __future__ import annotations

import math
import re
import time
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from airreid.adopt.images import open_images, readable_images
from airreid.adopt.preprocessing import ALIASES, PRESETS, Preprocessing, named
from airreid.adopt.schemes import DEFAULT_SCHEMES
from airreid.console import progress_bars
from airreid.datasets.cli import tell_left_out
from airreid.datasets.cli import told as noted
from airreid.datasets.open import open_data
from airreid.datasets.readable import readable
from airreid.errors import InputError
from airreid.evaluation.cli import phases
from airreid.evaluation.features import default_cache


class ColourOrder(Enum):
    """Order of the colours that a network takes."""

    RGB = "rgb"
    BGR = "bgr"


Three = tuple[float, float, float]


def adopt_command(
    network: Annotated[Path, typer.Argument(help="The network, an ONNX file.")],
    images: Annotated[
        str,
        typer.Option(
            help="Crops of people: <identity>/<camera>/<image>, a data set that 'airreid data "
            "check' knows, or any folder of images."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the bundle; must not be there yet.")],
    scheme: Annotated[
        list[str] | None,
        typer.Option(help=f"Scheme id; may be repeated. {', '.join(DEFAULT_SCHEMES)} if left out."),
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="Name of the output that is the feature, of several.")
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(
            help="HEIGHTxWIDTH of the crops, where the network takes any size or another one."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help=f"Preprocessing: {', '.join((*PRESETS, *ALIASES))}. Found if left out."),
    ] = None,
    mean: Annotated[
        Three | None, typer.Option(help="Mean of the scaled pixels, in the network's order.")
    ] = None,
    std: Annotated[Three | None, typer.Option(help="Deviation of the scaled pixels.")] = None,
    scale: Annotated[
        float | None, typer.Option(help="Factor of the pixels 0 ... 255; 1/255 = 0.00392157.")
    ] = None,
    colour: Annotated[ColourOrder | None, typer.Option(help="Colour order.")] = None,
    identities: Annotated[
        bool, typer.Option(help="Use the folder's identities; without them: PCA.")
    ] = True,
    int8: Annotated[
        bool, typer.Option(help="Try the network in int8; kept if faster and as accurate.")
    ] = True,
    also: Annotated[
        list[str] | None,
        typer.Option(help="Data set of another site to measure on; may be repeated."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Noise seeds of the table.")] = 5,
    report: Annotated[
        Path | None, typer.Option(help="Folder for accuracy.json and .png; OUT-report if left out.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for features; the user's cache folder if left out.")
    ] = None,
) -> None:
    """Make a bundle of a network that others trained and codes fitted to your crops.

    Without torch, in some minutes for 8,000 crops: the graph is read, its preprocessing found and
    put into it, JSCC and digital schemes are fitted in closed form, and measured on people kept
    out of the fit.
    """
    try:  # here, so that --help needs no package that adopting does
        from airreid.adopt.elsewhere import check_elsewhere, check_site
        from airreid.adopt.pipeline import Adoption, adopt
        from airreid.adopt.report import told, write_page, write_report
    except ModuleNotFoundError as error:
        raise InputError(
            f"'airreid adopt' needs {error.name}: install AirReID with the extra adopt, in a "
            "checkout .venv/bin/pip install -e '.[adopt]'"
        ) from None
    started = time.perf_counter()
    preprocessing = _preprocessing(preset, mean, std, scale, colour)
    size = size_of(resize)
    elsewhere = tuple(open_data(source) for source in also or ())
    for data in elsewhere:
        check_site(data)
    opened = open_images(images, None if identities else False)
    cache = cache or default_cache()
    with progress_bars() as bars:
        opened = readable_images(opened, cache, phases(bars))
        elsewhere = tuple(noted(readable(data, cache, phases(bars))) for data in elsewhere)
    tell_left_out(opened.left_out)
    for data in elsewhere:
        check_elsewhere(data, opened.everything)
    adoption = Adoption(
        network=network,
        images=opened,
        out=out,
        schemes=tuple(scheme or DEFAULT_SCHEMES),
        output=output,
        size=size,
        preprocessing=preprocessing,
        cache=cache,
        seeds=seeds,
        int8=int8,
        elsewhere=elsewhere,
        fewer_schemes=not scheme,
    )
    with progress_bars() as bars:
        adopted = adopt(adoption, phases(bars))
    for line in told(adopted, opened.why_no_test):
        typer.echo(line)
    page = write_page(adopted, opened.why_no_test)
    for path in (page, *write_report(adopted, report or out.with_name(f"{out.name}-report"))):
        typer.echo(f"wrote {path}")
    bundle = adopted.bundle
    typer.echo(
        f"{bundle.path}: bundle {bundle.bundle_id} with {', '.join(bundle.scheme_ids)}, "
        f"in {time.perf_counter() - started:.0f} s"
    )


def _preprocessing(
    preset: str | None,
    mean: Three | None,
    std: Three | None,
    scale: float | None,
    colour: ColourOrder | None,
) -> Preprocessing | None:
    numbers = {"mean": mean, "std": std, "scale": scale}
    given = {name: value for name, value in numbers.items() if value is not None}
    if colour is not None:
        given["colour"] = colour.value  # type: ignore[assignment]
    if preset is not None:
        if preset not in PRESETS and preset not in ALIASES:
            raise InputError(
                f"--preset {preset}: there are {', '.join((*PRESETS, *ALIASES))}; or give --mean, "
                "--std, --scale and --colour"
            )
        if given:
            raise InputError(f"--preset {preset}: give it or {', '.join(f'--{n}' for n in given)}")
        return named(preset)
    if not given:
        return None
    if mean is not None and not all(map(math.isfinite, mean)):
        raise InputError(f"--mean {' '.join(f'{x:g}' for x in mean)}: must be finite numbers")
    if std is not None and not all(0 < x < math.inf for x in std):
        raise InputError(f"--std {' '.join(f'{x:g}' for x in std)}: must be above 0")
    if scale is not None and not 0 < scale < math.inf:
        raise InputError(f"--scale {scale:g}: must be above 0")
    return Preprocessing(**given)  # type: ignore[arg-type]


def size_of(text: str | None) -> tuple[int, int] | None:
    """Reads HEIGHTxWIDTH. Raises :class:`InputError` for another form."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{2,4})x([0-9]{2,4})", text)
    if match is None:
        raise InputError(f"--resize {text}: write HEIGHTxWIDTH, for example 256x128")
    return int(match[1]), int(match[2])
