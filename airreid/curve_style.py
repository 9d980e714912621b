"""Colours, markers and lines of schemes in every figure, and figures as files.

A scheme has one look, whatever else is drawn: its colour says its kind and its marker its kind as
well, so that no reader needs to tell colours apart. Colours are those of Okabe and Ito, *Color
Universal Design* (2008), which people with any kind of colour blindness can tell apart.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, YELLOW, GREY = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#666666"),
)
PALETTE = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, "#000000", "#7A5C00")
RIGHT, WRONG = BLUE, VERMILLION
"""Colours of right and wrong answers, which also have a tick and a cross."""
NO_CODE = "plain features, without code or channel"
"""Label of the line that no scheme needs to stay below: a trained code may find more than the
network's own features do."""
FORMATS = ("png", "svg", "pdf")
"""Kinds of file that each figure is written as."""


class _Look(NamedTuple):
    colour: str
    marker: str


_SCHEMES = {
    "jscc-ae": _Look(BLUE, "o"),
    "jscc-fc": _Look(ORANGE, "s"),
    "jscc-nested": _Look(GREEN, "D"),
    "digital": _Look(VERMILLION, "^"),
    "pca": _Look(GREY, "X"),
}
"""Looks by the first part of a scheme's id; the longest that fits counts."""
_OTHERS = (_Look(SKY, "P"), _Look(PURPLE, "h"), _Look("#000000", "v"), _Look("#7A5C00", "*"))
_RATES = {"r1": _Look(PURPLE, "v"), "r2": _Look(SKY, "<"), "r3": _Look("#000000", ">")}
"""Looks of digital schemes of other rates, by the end of their ids."""


@dataclass(frozen=True)
class Line:
    """Look of a scheme's curve over one link."""

    colour: str
    marker: str
    linestyle: Any
    filled: bool
    """False: the marker is an outline."""
    steps: bool
    """Straight between points it is not: an ideal link carries all bits or none."""

    @property
    def keywords(self) -> dict[str, Any]:
        """Keywords of Matplotlib's ``plot`` and ``errorbar``."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": self.linestyle,
            "markersize": 5,
            "markerfacecolor": self.colour if self.filled else "white",
            "drawstyle": "steps-post" if self.steps else "default",
        }


_LINKS: dict[str, tuple[Any, bool, bool]] = {
    "analog": ("-", True, False),
    "coded": ("-", True, False),
    "ideal": (":", False, True),
    "paper": ("", True, False),
}


def line_of(scheme: str, link: str = "analog") -> Line:
    """Returns the look of a scheme, by its id or its kind, over a link."""
    linestyle, filled, steps = _LINKS.get(link, _LINKS["analog"])
    look = _look(scheme)
    marker = "*" if link == "paper" else look.marker
    return Line(look.colour, marker, linestyle, filled, steps)


def _look(scheme: str) -> _Look:
    name = scheme.lower()
    rate = name.rpartition("-")[2]
    if name.startswith("digital") and rate in _RATES:
        return _RATES[rate]
    fitting = [start for start in _SCHEMES if name.startswith(start)]
    if fitting:
        return _SCHEMES[max(fitting, key=len)]
    return _OTHERS[hashlib.sha256(name.encode()).digest()[0] % len(_OTHERS)]


def targets(path: Path) -> list[Path]:
    """Returns the files that a figure is written to: :data:`FORMATS`, the PNG first."""
    return [path.with_suffix(f".{kind}") for kind in FORMATS]


def save(figure: Any, path: Path) -> list[Path]:
    """Writes a figure as :data:`FORMATS` beside ``path``, whose ending does not count.

    Text stays text in SVG and PDF. Returns the paths, the PNG first.
    """
    from matplotlib import rc_context

    paths = targets(path)
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of each glyph in a PDF
    with rc_context({"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "airreid"}):
        for target in paths:
            metadata = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
            figure.savefig(target, metadata=metadata[target.suffix[1:]])
    return paths
