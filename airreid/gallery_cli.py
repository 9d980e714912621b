"""``airreid gallery``: enrol, list and delete people over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from airreid.client import GalleryClient, ok
from airreid.console import progress_bars
from airreid.images import read
from airreid.people import Crop, read_folder
from airreid.v1 import gallery_pb2

app = typer.Typer(no_args_is_help=True, help="The people an access point knows.")

To = Annotated[str, typer.Option(help="HOST:PORT of the access point's gRPC.")]
_DEFAULT = "127.0.0.1:50052"


def _items(crops: list[Crop]) -> Iterator[gallery_pb2.EnrollItem]:
    with progress_bars() as bars:
        for crop in bars.track(crops, description="enrolling"):
            yield gallery_pb2.EnrollItem(
                subject=crop.identity, camera=crop.camera, image=read(crop.path)
            )


@app.command()
def enroll(
    folder: Annotated[Path, typer.Argument(help="Folder of <identity>/<camera>/<image>.")],
    to: To = _DEFAULT,
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete these subjects' earlier entries first.")
    ] = False,
) -> None:
    """Enrol every image of a folder. Exits with 1 if any was refused."""
    crops = read_folder(folder)
    refused = 0
    with GalleryClient(to) as client:
        if replace:
            known = {subject.id for subject in client.subjects()}
            for subject in sorted(known & {crop.identity for crop in crops}):
                client.delete_subject(subject)
        for crop, (_, result) in zip(crops, client.enrol(_items(crops)), strict=True):
            if not ok(result.status):
                refused += 1
                typer.echo(f"error: {crop.path}: {result.status.message}", err=True)
        state = client.describe()
    typer.echo(
        f"enrolled {len(crops) - refused} of {len(crops)} images; "
        f"the gallery holds {state.subjects} subjects, {state.entries} entries"
    )
    if refused:
        raise typer.Exit(1)


@app.command("list")
def list_subjects(to: To = _DEFAULT) -> None:
    """List the subjects and how many entries each has."""
    with GalleryClient(to) as client:
        table = Table("subject", "entries")
        for subject in client.subjects():
            table.add_row(subject.id, str(subject.entries))
    Console().print(table)


@app.command()
def delete(
    subjects: Annotated[list[str], typer.Argument(help="Subjects to delete with all entries.")],
    to: To = _DEFAULT,
) -> None:
    """Delete subjects."""
    with GalleryClient(to) as client:
        for subject in subjects:
            count = client.delete_subject(subject)
            typer.echo(f"deleted {subject} and {count} entries")
