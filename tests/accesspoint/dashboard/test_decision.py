"""The decision comes first, in words, a sign and a colour; who is nearest is no answer."""

from __future__ import annotations

import itertools
import re
import urllib.parse
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

from accesspoint.dashboard.mount import STATIC
from airreid.console import printable
from airreid.subject_ids import id_of, name_and_id, name_of

from .support import query, run

ROW = "const li = m.row(x); document.documentElement.append(li); "
OF_ROW = """
    const who = li.querySelector('.who');
    const link = who.querySelector('a');
    return {
      badge: li.querySelector('.badge').textContent, who: who.textContent,
      nearest: who.classList.contains('nearest'), href: link && link.getAttribute('href'),
      children: [...li.querySelector('summary').children].map((e) => e.className),
    };
"""


def shown(page: Page, **fields: Any) -> dict[str, Any]:
    row = run(page, "queryrow", ROW + OF_ROW, query(1, **fields))
    assert isinstance(row, dict)
    return row


@pytest.mark.parametrize(
    ("fields", "badge", "who", "nearest"),
    [
        ({"decision": "match"}, "✓ Match", "p1", False),
        ({"decision": "ambiguous"}, "? Ambiguous", "p1?", False),
        ({"decision": "unknown", "subject": ""}, "– Unknown", "nearest: p1", True),
        ({"decision": "unspecified", "subject": ""}, "# No decision", "nearest: p1", True),
        ({"decision": "unknown", "subject": "", "identities": []}, "– Unknown", "gallery", True),
        ({"outage": True, "code": "outage", "identities": []}, "× Lost", "block lost", True),
        ({"code": "wrong_bundle", "identities": []}, "! Refused", "wrong bundle", True),
    ],
)
def test_a_row_says_the_decision_first(
    blank: Page, fields: dict[str, Any], badge: str, who: str, nearest: bool
) -> None:
    row = shown(blank, **fields)
    assert row["badge"] == badge
    assert who in row["who"]
    assert row["nearest"] == nearest
    assert row["children"][0].startswith("badge"), "the decision is read first"


@pytest.mark.parametrize(
    ("uses", "bandwidth", "words"),
    [
        (64, 256, "64 of 256 uses"),
        (512, 256, "512 of 256 uses"),
        (None, 256, None),
        (9, None, None),
    ],
)
def test_a_row_says_how_much_of_a_block_was_needed(
    blank: Page, uses: int | None, bandwidth: int | None, words: str | None
) -> None:
    code = ROW + "return li.querySelector('.uses')?.textContent ?? null;"
    assert run(blank, "queryrow", code, query(1, uses=uses, bandwidth=bandwidth)) == words


NAMES = ["Zoë", "José García", "山田", "_x", "+", "", "a+b", "alice", "x+", "a b+", "Tür 1"]


def test_names_are_read_off_ids_as_everywhere(blank: Page) -> None:
    ids = [id_of(name) for name in NAMES]
    assert run(blank, "names", "return x.map(m.nameOf);", ids) == [name_of(i) for i in ids]
    assert run(blank, "names", "return x.map(m.nameAndId);", ids) == [name_and_id(i) for i in ids]
    for name in ("Zoë", "José García", "alice", "山田", "_x y"):
        for end in range(1, len(name) + 1):
            prefix = run(blank, "names", "return m.idPrefix(x);", name[:end])
            assert id_of(name).startswith(prefix)
    assert run(blank, "names", "return m.idPrefix(x);", "Zo+C3+AB+") == "Zo+C3+AB+"


def test_a_row_has_the_name_before_the_id(blank: Page) -> None:
    subject = {"subject": "Zo+C3+AB+", "score": 0.9, "entry_id": 1, "camera": "c"}
    row = shown(blank, decision="match", subject="Zo+C3+AB+", identities=[subject])
    assert row["who"] == "Zoë (Zo+C3+AB+)"
    assert row["href"] == "#gallery/Zo%2BC3%2BAB%2B"


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([0.596, 0.59], "0.596 of 0.577 needed; its lead over the second, 0.006, is too small"),
        ([0.5, 0.49], "0.500 of 0.577 needed"),
        ([0.596], "0.596 of 0.577 needed"),
    ],
)
def test_an_ambiguous_score_says_what_was_missing(
    blank: Page, scores: list[float], words: str
) -> None:
    ranked = [
        {"subject": f"p{place}", "score": score, "entry_id": place, "camera": "c"}
        for place, score in enumerate(scores)
    ]
    answer = query(1, decision="ambiguous", subject="p0", identities=ranked) | {"threshold": 0.577}
    assert run(blank, "queryrow", "return m.scoreLine(x).textContent;", answer) == words


@pytest.mark.parametrize("kind", ["unknown", "unspecified"])
def test_the_large_card_of_nobody_names_nobody(blank: Page, kind: str) -> None:
    code = """
        const box = document.createElement('div');
        box.append(...m.latest(x).filter(Boolean));
        return [box.querySelector('.latest-who'), box.querySelector('.latest-nearest').textContent];
    """
    event = query(1, decision=kind, subject="")
    assert run(blank, "queryrow", code, event) == [None, "nearest: p1"]
    event = query(1, decision="match")
    code = code.replace("'.latest-nearest'", "'.latest-who'")
    assert run(blank, "queryrow", code, event)[1] == "p1"


@pytest.mark.parametrize(
    "name", ["<b>x</b>", "a/b?c#d", "ان\u202eمن", "x\u0000\u0085\u2028", "é 1"]
)
def test_a_name_is_a_link_to_its_card_and_commands_nothing(blank: Page, name: str) -> None:
    identity = {"subject": name, "score": 0.9, "entry_id": 1, "camera": "c1"}
    row = shown(blank, subject=name, identities=[identity])
    assert row["who"] == printable(name)
    assert urllib.parse.unquote(row["href"].removeprefix("#gallery/")) == name
    assert blank.locator("b").count() == 0


def test_the_page_hides_what_the_command_line_hides(blank: Page) -> None:
    numbers = [*range(0xD800), *range(0xE000, 0x11000), 0x1F600]
    numbers = [number for number in numbers if number not in (9, 10)]  # tab and line break stay
    texts = run(blank, "dom", "return x.map((n) => m.visible(String.fromCodePoint(n)));", numbers)
    wrong = [
        number
        for number, text in zip(numbers, texts, strict=True)
        if text != printable(chr(number))
    ]
    assert wrong == []


# Machado, Oliveira, Fernandes 2009, A Physiologically-based Model for Simulation of Color Vision
# Deficiency, severity 1.0
VISION = {
    "usual": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
OUTCOMES = ("good", "warn", "cool", "bad", "plain")
"""Colours of match, ambiguous, unknown, lost or refused, and no decision."""


def lab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB of linear sRGB, D65."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ np.clip(linear, 0, 1) / np.array([0.9505, 1, 1.089])
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_outcomes_can_be_told_apart_with_any_colour_vision(theme: str, vision: str) -> None:
    light, dark = (STATIC / "css/tokens.css").read_text().split(':root[data-theme="dark"]')
    colours = dict(re.findall(r"--(\w+): #(\w{6});", light if theme == "light" else dark))
    colours_lab = {}
    for name in OUTCOMES:
        srgb = np.array(list(bytes.fromhex(colours[name]))) / 255
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        colours_lab[name] = lab(np.array(VISION[vision]) @ linear)
    distances = {
        (first, second): float(np.linalg.norm(colours_lab[first] - colours_lab[second]))
        for first, second in itertools.combinations(OUTCOMES, 2)
    }
    assert min(distances.values()) > 15, distances
