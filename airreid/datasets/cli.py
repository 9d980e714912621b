"""``airreid data``: recognises, counts and checks data sets."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from airreid.console import progress_bars, say
from airreid.datasets.check import check_images, describe, images_of, remarks, structure_problems
from airreid.datasets.dataset import DataSet
from airreid.datasets.mixed import with_tracks
from airreid.datasets.open import open_data
from airreid.datasets.reader import Boxes
from airreid.datasets.readers import READERS
from airreid.datasets.unlabelled import is_unlabelled, unlabelled_data
from airreid.errors import InputError
from airreid.json_output import JsonTargets, check_json, prints_json, write_json
from airreid.picture_files import left_out_note
from airreid.registry import load_extensions

app = typer.Typer(no_args_is_help=True, help="Data sets: recognise, count and check.")
SCHEMA = "airreid data check 2"
"""Name and version of the JSON document."""


class BoxesChoice(Enum):
    """Kinds of CUHK03's crops."""

    LABELED = "labeled"
    DETECTED = "detected"


_BOXES: dict[BoxesChoice, Boxes] = {
    BoxesChoice.LABELED: "labeled",
    BoxesChoice.DETECTED: "detected",
}
BoxesOption = Annotated[
    BoxesChoice | None, typer.Option(help="Which of CUHK03's two kinds of crops.")
]


def boxes_of(choice: BoxesChoice | None) -> Boxes | None:
    """Turns the option's value into what :func:`open_data` takes."""
    return None if choice is None else _BOXES[choice]


def told(data: DataSet) -> DataSet:
    """Says where a data set was found if not at the path given, and that files are left out."""
    if data.elsewhere:
        say(f"note: data set found at {data.elsewhere}", err=True)
    tell_left_out(data.left_out)
    return data


def tell_left_out(reasons: Sequence[str]) -> None:
    """Says how many files are left out, and why the first one is; nothing where none is."""
    if note := left_out_note(reasons):
        say(f"note: {note}", err=True)


@app.command("forms")
def forms_command() -> None:
    """List the forms of data sets that are recognised, by what, and their protocols."""
    load_extensions()
    for reader in READERS.parts():
        typer.echo(f"{reader.name}: {reader.looks_for}")
        protocols = ", ".join(reader.protocols)
        families = "".join(f"; all splits: {family}" for family in reader.families)
        typer.echo(f"    protocols {protocols}{families}")


@app.command("check")
def check_command(
    data: Annotated[str, typer.Argument(help="Folder, CUHK03's .mat file, or 'synthetic'.")],
    protocol: Annotated[
        str | None, typer.Option(help="One of the data set's protocols; its first if left out.")
    ] = None,
    boxes: BoxesOption = None,
    tracks: Annotated[
        Path | None,
        typer.Option(help="Tracks beside DATA's identities: <camera>/<track>/<image>."),
    ] = None,
    as_json: JsonTargets = None,
) -> None:
    """Recognise a data set, count it, decode every image, and name all that is wrong."""
    check_json(*as_json or ())
    echo = partial(typer.echo, err=prints_json(as_json))
    opened = _opened(data, protocol, boxes_of(boxes), tracks)
    description = describe(opened)
    problems = structure_problems(opened)
    for line in _lines(description):
        echo(line)
    samples = images_of(opened)
    with progress_bars() as bars:
        task = bars.add_task("decoding", total=len(samples))
        checked = check_images(samples, lambda: bars.advance(task))
    problems += checked.problems
    notes = remarks(opened)
    readable_count = len(samples) - len(checked.problems)
    echo(f"content    {checked.content} (names and pixels of {readable_count} images)")
    for note in notes:
        echo(f"note: {note}")
    for problem in problems:
        typer.echo(f"error: {problem}", err=True)
    if as_json:
        description |= {"content": checked.content, "notes": notes, "problems": problems}
        write_json(as_json, {"schema": SCHEMA, **description})
    if problems:
        typer.echo(
            f"error: {data}: {len(problems)} missing or unreadable; a training leaves out what it "
            "cannot read, up to 1 in 100 images",
            err=True,
        )
        raise typer.Exit(1)
    echo(f"all {len(samples)} images can be read")


def _opened(source: str, protocol: str | None, boxes: Boxes | None, tracks: Path | None) -> DataSet:
    """Opens a data set, with tracks beside it where they are given, or crops without labels."""
    try:
        data = open_data(source, protocol, boxes)
    except InputError:
        if tracks is not None or not Path(source).is_dir() or not is_unlabelled(Path(source)):
            raise
        return unlabelled_data(Path(source))
    return data if tracks is None else with_tracks(data, tracks)


def _lines(description: dict[str, Any]) -> list[str]:
    lines = [
        f"form       {description['form']}",
        f"data       {description['data']}",
        f"protocols  {', '.join(description['protocols'])}",
        f"digest     {description['digest']}",
        "",
        f"{'subset':<10} {'images':>8} {'identities':>11} {'cameras':>8} {'distractors':>12}"
        "  published",
    ]
    for row in description["subsets"]:
        published = "-"
        if row["expected_identities"] is not None:
            images = "" if row["expected_images"] is None else f"{row['expected_images']} images, "
            published = f"{images}{row['expected_identities']} identities"
        lines.append(
            f"{row['subset']:<10} {row['images']:>8} {row['identities']:>11} "
            f"{row['cameras']:>8} {row['distractors']:>12}  {published}"
        )
    if description["published_counts"]:
        lines.append("counts as published" if description["complete"] else "a subset: see data")
    return [*lines, ""]
