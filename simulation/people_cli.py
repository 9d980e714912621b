"""``airreid people``: the demo's synthetic people as folders."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from airreid.console import progress_bars
from airreid.errors import InputError
from simulation.people import picture_count, synthetic


def command(
    folder: Annotated[Path, typer.Argument(help="Gets gallery/ and queries/.")],
    identities: Annotated[int, typer.Option(min=2, max=5000, help="How many people.")] = 20,
) -> None:
    """Draw synthetic people: FOLDER/gallery and FOLDER/queries, by two cameras.

    Both hold <identity>/<camera>/<image>, the layout of simulate --gallery --queries
    and of gallery enroll.
    """
    for part in ("gallery", "queries"):
        if (folder / part).exists():
            raise InputError(f"{folder / part}: exists already; give another folder")
    with TemporaryDirectory() as drawn, progress_bars() as bars:
        task = bars.add_task("drawing", total=picture_count(identities))
        people = synthetic(identities, Path(drawn), lambda: bars.advance(task))
        for part, crops in (("gallery", people.gallery), ("queries", people.queries)):
            for crop in crops:
                target = folder / part / crop.identity / crop.camera / crop.path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(crop.path.read_bytes())
    typer.echo(
        f"{folder}: {len(people.gallery)} gallery images, {len(people.queries)} queries "
        f"of {identities} people"
    )
