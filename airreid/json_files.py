"""Option ``--json`` of commands that measure: a document on standard output, or in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from airreid.errors import InputError

STDOUT = Path("-")
"""Value of the option that stands alone, without a file."""
JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json-out",
        "--json",
        help="Write every figure to this file as well; --json alone prints JSON instead.",
    ),
]


def check_json(path: Path | None) -> None:
    """Raises :class:`InputError` before the work where its result could not be kept after it."""
    if path is None or path == STDOUT:
        return
    if not path.resolve().parent.is_dir():
        raise InputError(f"--json-out {path}: no such folder")
    path.open("a").close()


def write_json(path: Path | None, document: Any) -> list[Path]:
    """Writes a document where the option says; returns the file, if it is one."""
    if path is None:
        return []
    text = json.dumps(document, indent=2)
    if path == STDOUT:
        typer.echo(text)
        return []
    path.write_text(text + "\n", encoding="utf-8")
    return [path]
