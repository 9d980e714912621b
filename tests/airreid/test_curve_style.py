"""Looks of curves: told apart without colours, the same in every figure, in three kinds of file."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from airreid.bundle import Bundle
from airreid.curve_style import PALETTE, RIGHT, WRONG, line_of, save
from airreid.scheme import links_of

DEUTERANOPIA = ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969))
"""Machado, Oliveira and Fernandes (2009), severity 1; of linear RGB."""


def seen(colour: str) -> list[float]:
    """A colour as somebody without green cones sees it, linear RGB."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in to_rgb(colour)
    ]
    return [sum(w * v for w, v in zip(row, linear, strict=True)) for row in DEUTERANOPIA]


def test_schemes_of_one_figure_differ_in_marker_or_line(bundle: Bundle) -> None:
    looks = {}
    for info in bundle.manifest.schemes:
        if info.bandwidth == 256:
            for link in links_of(info):
                line = line_of(info.id, link)
                looks[info.id, link] = (line.marker, line.linestyle, line.filled)
    assert len(looks) >= 6
    assert len(set(looks.values())) == len(looks)


def test_colours_differ_without_green_cones() -> None:
    pairs = [*combinations(PALETTE, 2), (RIGHT, WRONG)]
    for first, second in pairs:
        apart = sum(abs(a - b) for a, b in zip(seen(first), seen(second), strict=True))
        assert apart > 0.1, (first, second)


def test_a_scheme_looks_the_same_whatever_is_drawn_beside_it() -> None:
    assert line_of("jscc-ae-256") == line_of("jscc-ae-64") == line_of("jscc-ae")
    assert line_of("digital-256", "ideal").steps
    assert not line_of("digital-256", "coded").steps
    assert line_of("digital-256").colour != line_of("digital-256-r1").colour
    assert line_of("mine-64") == line_of("mine-64")


def test_a_figure_is_written_as_a_picture_and_as_vectors(tmp_path: Path) -> None:
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], label="jscc-ae-256", **line_of("jscc-ae-256").keywords)
    axes.legend()
    first = save(figure, tmp_path / "curve.png")
    assert [path.name for path in first] == ["curve.png", "curve.svg", "curve.pdf"]
    drawn = (tmp_path / "curve.svg").read_text()
    assert ">jscc-ae-256</text>" in drawn
    save(figure, tmp_path / "curve.png")
    assert (tmp_path / "curve.svg").read_text() == drawn


def test_every_figure_of_the_project_has_this_style() -> None:
    """Notebooks take the colours; the study tells 15 lines apart by colours of its own table."""
    own_table = Path("airreid/evaluation/study/figures.py")
    root = Path(__file__).parents[2]
    own_colours = re.compile(r"""["'](?:C\d|grey|gray|tan|tab:\w+)["']""")
    drawn = 0
    for folder in ("airreid", "simulation", "training", "benchmarks", "examples"):
        for path in [*(root / folder).rglob("*.py"), *(root / folder).rglob("*.ipynb")]:
            text = path.read_text(encoding="utf-8").replace('\\"', '"')
            if "matplotlib" not in text or path.name == "curve_style.py":
                continue
            if path == root / own_table:
                continue
            drawn += 1
            assert "curve_style import" in text, path
            assert "savefig" not in text, f"{path}: use curve_style.save"
            assert not own_colours.search(text), f"{path}: {own_colours.search(text)}"
    assert drawn > 8
