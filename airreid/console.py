"""Progress, tables and lines as every command shows them; no text of others is markup there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

_quiet = False


def set_quiet(quiet: bool) -> None:
    """Shows neither progress nor notes from now on, or both again."""
    global _quiet
    _quiet = quiet


def progress_bars() -> Progress:
    """Returns bars on standard error, with counts, time spent and time left.

    Where that is no terminal there is a line every ten seconds instead, and none with ``-q``.
    """
    from airreid.progress import bars  # services start without Rich

    return bars(_quiet)


def note(text: object) -> None:
    """Prints a line on standard error, unless ``-q`` was given: nothing that anybody must know."""
    if not _quiet:
        say(text, err=True)


_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, line breaks among them
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # directions of writing
    "\u200b\u2028\u2029\u2060\ufeff\ud800-\udfff\ufff9-\ufffb]"  # nothing that is seen
)


def printable(text: object) -> str:
    """Returns a text as one line that shows every character and commands no terminal.

    A control character, a change of the direction of writing, a line break and the like come
    as their number: ``\\x1b``, ``\\u202e``.
    """
    return _HIDDEN.sub(_number, str(text))


def _number(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def say(text: object, err: bool = False, faint: str = "") -> None:
    """Prints a line, to standard error if ``err``; ``faint`` behind it, in grey on a terminal."""
    line = printable(text)
    if faint:
        behind = printable(faint)
        line += "  " + (
            behind if os.environ.get("NO_COLOR") else typer.style(behind, fg="bright_black")
        )
    typer.echo(line, err=err)


def print_table(names: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Prints rows of texts under the columns' names.

    The first column names the row and is whole on any width, for the next command to take; long
    texts in the others are broken.
    """
    from rich.console import Console  # services start without them
    from rich.table import Column, Table
    from rich.text import Text

    lines = [["" if cell is None else printable(cell) for cell in row] for row in rows]
    widest = max((len(line[0]) for line in lines if line), default=0)
    first, *others = names
    columns = [Column(name, overflow="fold") for name in others]
    table = Table(Column(first, no_wrap=True, min_width=widest), *columns)
    for line in lines:
        table.add_row(*map(Text, line))
    console = Console()
    if title:
        console.print(Text(printable(title), style="bold"))
    console.print(table)
