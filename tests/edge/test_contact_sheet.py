"""A picture of a run: where crops and text are, and in which colours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edge.contact_sheet import CROP_SIZE, Query, _cut, contact_sheet

INK, FAINT, BAD = (20, 20, 20), (110, 110, 110), (170, 30, 30)
WIDTH, HEIGHT, PAD, LINE = 336, 208, 8, 17


def has(pixels: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((pixels == colour).all(axis=-1).any())


@pytest.mark.parametrize(
    ("count", "columns", "rows"),
    [(0, 1, 1), (1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 3, 2), (6, 3, 2), (7, 3, 3)],
)
def test_three_queries_stand_in_a_row(count: int, columns: int, rows: int) -> None:
    red = Image.new("RGB", (5, 9), (250, 0, 0))
    sheet = contact_sheet([Query(red, "t", []) for _ in range(count)])
    assert sheet.size == (columns * WIDTH, rows * HEIGHT)
    pixels = np.asarray(sheet)
    red_places = (pixels == (250, 0, 0)).all(axis=-1)
    assert red_places.sum() == count * 96 * 192
    for number in range(count):
        left, top = number % columns * WIDTH + PAD, number // columns * HEIGHT + PAD
        assert red_places[top : top + 192, left : left + 96].all()


def test_text_stands_beside_the_crop_line_by_line() -> None:
    assert CROP_SIZE == (96, 192)
    lines = ["one", "", "three"]
    pixels = np.asarray(contact_sheet([Query(None, "title", lines)]))
    left = PAD + 96 + PAD
    assert (pixels[:, : left - 2] == 255).all()

    def strip(place: int) -> np.ndarray:
        """The place of a line; the title's is 0."""
        return pixels[PAD + place * LINE : PAD + (place + 1) * LINE, left:]

    assert has(strip(0), FAINT)
    assert has(strip(1), INK)
    assert (strip(2) == 255).all()
    assert has(strip(3), INK)
    assert not has(pixels, BAD)
    dark = (pixels < 200).any(axis=-1)
    assert np.flatnonzero(dark.any(axis=0))[0] in range(left - 2, left + 3)


def test_what_went_wrong_is_red() -> None:
    pixels = np.asarray(contact_sheet([Query(None, "t", ["error"], good=False)]))
    assert has(pixels, BAD)
    assert not has(pixels, INK)


def test_lines_that_do_not_fit_below_the_title_are_left_out() -> None:
    ten = np.asarray(contact_sheet([Query(None, "t", ["x"] * 10)]))
    many = np.asarray(contact_sheet([Query(None, "t", ["x"] * 99)]))
    nine = np.asarray(contact_sheet([Query(None, "t", ["x"] * 9)]))
    np.testing.assert_array_equal(ten, many)
    assert (ten != nine).any()


def test_long_text_is_cut_and_a_path_keeps_its_end() -> None:
    exact = "a" * 32
    assert _cut(exact) == _cut(exact, keep_end=True) == exact
    text = "".join(chr(ord("a") + i % 26) for i in range(40))
    assert _cut(text) == text[:29] + "..."
    assert _cut(text, keep_end=True) == "..." + text[-29:]
    assert _cut("名\nZoë") == "? Zoë"


def test_a_crop_of_any_mode_is_drawn() -> None:
    grey = Image.new("L", (4, 4), 77)
    pixels = np.asarray(contact_sheet([Query(grey, "", [])]))
    assert (pixels[PAD : PAD + 192, PAD : PAD + 96] == 77).all()
