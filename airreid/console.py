"""Progress, tables and lines as every command shows them; no text of others is markup there."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

_quiet = False
_BETWEEN = 3
"""Characters between two columns of a table."""
_NARROWEST = 10
"""Characters of a text that a table leaves, at least."""


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


def print_table(
    names: Sequence[str],
    rows: Iterable[Sequence[object]],
    title: str = "",
    cut: Collection[str] = (),
) -> None:
    """Prints rows of texts under the columns' names.

    No text is broken over lines. Where the terminal is too narrow, the columns named by ``cut``
    lose the ends of their texts, and where that is not enough each row is a block of lines.
    """
    from rich.cells import cell_len  # services start without them
    from rich.console import Console
    from rich.text import Text

    lines = [["" if cell is None else printable(cell) for cell in row] for row in rows]
    columns = [[name, *cells] for name, cells in zip(names, zip(*lines, strict=True), strict=False)]
    widths = [max(map(cell_len, column)) for column in columns] or [len(name) for name in names]
    console = Console()
    if title:
        console.print(Text(printable(title), style="bold"))
    fitted = _fitted(widths, [name in cut for name in names], console.width)
    if fitted is None:
        _print_blocks(names, lines)
    else:
        console.print(_table(names, lines, fitted))


def _fitted(widths: Sequence[int], may_cut: Sequence[bool], room: int) -> list[int] | None:
    """Returns the widths at which columns fit into ``room``; None where they do not."""
    fitted = list(widths)
    while sum(fitted) + _BETWEEN * len(fitted) + 1 > room:
        wide = [place for place, cut in enumerate(may_cut) if cut and fitted[place] > _NARROWEST]
        if not wide:
            return None
        fitted[max(wide, key=fitted.__getitem__)] -= 1
    return fitted


def _table(names: Sequence[str], lines: Iterable[Sequence[str]], widths: Sequence[int]) -> Table:
    from rich.table import Column, Table
    from rich.text import Text

    columns = [
        Column(name, no_wrap=True, overflow="ellipsis", width=width)
        for name, width in zip(names, widths, strict=True)
    ]
    table = Table(*columns)
    for line in lines:
        table.add_row(*map(Text, line))
    return table


def _print_blocks(names: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Prints each row as lines: its first text, then the names and texts of the others."""
    for first, *others in lines:
        typer.echo(first)
        for name, text in zip(names[1:], others, strict=True):
            if text:
                typer.echo(f"    {name}: {text}")
