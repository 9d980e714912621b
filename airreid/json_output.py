"""Options ``--json`` and ``--json-out``: a document on standard output, in a file, or both.

Every object of a document's top level names its schema; docs/json.md has them all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from airreid.errors import InputError

STDOUT = Path("-")
"""Value of a ``--json`` that stands alone, without a file."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
JsonOut = Annotated[
    Path | None,
    typer.Option("--json-out", help="Write the JSON to this file as well.", show_default=False),
]
JsonTargets = Annotated[
    list[Path] | None,
    typer.Option(
        "--json-out",
        "--json",
        help="Write every figure to this file as well; --json alone prints JSON instead.",
        show_default=False,
    ),
]
"""Option of commands that measure: their ``--json`` has always taken a file."""


def prints_json(targets: Sequence[Path] | None) -> bool:
    """Says whether standard output gets the document, and so nothing else."""
    return STDOUT in (targets or ())


def check_json(*targets: Path | None) -> None:
    """Raises :class:`InputError` before the work where its result could not be kept after it."""
    for path in targets:
        if path is None or path == STDOUT:
            continue
        if not path.resolve().parent.is_dir():
            raise InputError(f"--json-out {path}: no such folder")
        if path.is_dir():
            raise InputError(f"--json-out {path}: is a folder; name a file")
        path.open("a").close()


def write_json(targets: Sequence[Path] | None, document: Any) -> list[Path]:
    """Writes a document wherever the options say; returns the files among the targets."""
    text = json.dumps(document, indent=2)
    files = []
    for path in dict.fromkeys(targets or ()):
        if path == STDOUT:
            typer.echo(text)
        else:
            path.write_text(text + "\n", encoding="utf-8")
            files.append(path)
    return files


def versioned(schema: str, value: Any) -> Any:
    """Returns an object with its schema before its fields; of a list, every object in it."""
    if isinstance(value, list):
        return [versioned(schema, row) for row in value]
    return {"schema": schema, **value}


def show_json(schema: str, value: Any, as_json: bool, file: Path | None) -> bool:
    """Writes a versioned document as ``--json`` and ``--json-out`` say.

    Returns whether it stands on standard output, where nothing else then belongs.
    """
    check_json(file)
    targets = [*([STDOUT] if as_json else []), *([] if file is None else [file])]
    if targets:
        write_json(targets, versioned(schema, value))
    return as_json


@contextmanager
def json_lines(
    schema: str, as_json: bool, file: Path | None
) -> Iterator[Callable[[dict[str, Any]], bool]]:
    """Yields a function that writes one object a line, as the options say.

    It returns whether the line stands on standard output.
    """
    check_json(file)
    with ExitStack() as stack:
        out: TextIO | None = None
        if file is not None:
            out = stack.enter_context(file.open("w", encoding="utf-8"))

        def write(value: dict[str, Any]) -> bool:
            if as_json or out is not None:
                line = json.dumps(versioned(schema, value))
                if as_json:
                    typer.echo(line)
                if out is not None:
                    out.write(line + "\n")
                    out.flush()
            return as_json

        yield write
