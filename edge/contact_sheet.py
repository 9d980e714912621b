"""A picture of a run: each query's crop with what was decided on it, and the nearest subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

CROP_SIZE = (96, 192)
"""Width and height of a crop on the sheet, in pixels."""
_TEXT_WIDTH, _PAD, _LINE, _FONT_SIZE = 224, 8, 17, 13
_INK, _FAINT, _BAD, _PAPER = (20, 20, 20), (110, 110, 110), (170, 30, 30), (255, 255, 255)
_COLUMNS = 3
_WIDEST = 32
"""Characters of a line; longer ones are cut."""


@dataclass(frozen=True)
class Query:
    """A crop and the lines that are shown beside it."""

    image: Image.Image | None
    """RGB, of any size; None for a file that is no image."""
    title: str
    lines: Sequence[str]
    """The decision, or what went wrong."""
    faint: Sequence[str] = ()
    """Ranked subjects with their scores, in grey below."""
    good: bool = True
    """False prints the lines in red."""


def contact_sheet(queries: Sequence[Query]) -> Image.Image:
    """RGB picture of all queries, three in a row."""
    columns = max(1, min(_COLUMNS, len(queries)))
    rows = max(1, -(-len(queries) // columns))
    width = CROP_SIZE[0] + _TEXT_WIDTH + 2 * _PAD
    height = CROP_SIZE[1] + 2 * _PAD
    sheet = Image.new("RGB", (columns * width, rows * height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    for number, query in enumerate(queries):
        x, y = number % columns * width + _PAD, number // columns * height + _PAD
        if query.image is not None:
            sheet.paste(query.image.convert("RGB").resize(CROP_SIZE), (x, y))
        x += CROP_SIZE[0] + _PAD
        draw.text((x, y), _cut(query.title, keep_end=True), _FAINT, font)
        coloured = [(line, _INK if query.good else _BAD) for line in query.lines]
        coloured += [(line, _FAINT) for line in query.faint]
        fitting = coloured[: (CROP_SIZE[1] - _LINE) // _LINE]
        for place, (line, colour) in enumerate(fitting, start=1):
            draw.text((x, y + place * _LINE), _cut(line), colour, font)
    return sheet


def _cut(text: str, keep_end: bool = False) -> str:
    """A line that fits, in characters that every font has."""
    plain = text.encode("latin-1", "replace").decode("latin-1").replace("\n", " ")
    if len(plain) <= _WIDEST:
        return plain
    return "..." + plain[3 - _WIDEST :] if keep_end else plain[: _WIDEST - 3] + "..."
