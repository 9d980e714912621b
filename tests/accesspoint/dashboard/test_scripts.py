"""The page's own sums and its reading of the feed, against other people's formulas."""

from __future__ import annotations

import json

import numpy as np
import pytest
from playwright.sync_api import Page
from scipy.stats import binomtest

from accesspoint.dashboard.feed import frame
from accesspoint.dashboard.mount import STATIC

from .support import query, run


@pytest.mark.parametrize(("good", "every"), [(0, 1), (1, 1), (7, 12), (500, 1000), (0, 40)])
def test_intervals_are_wilsons(blank: Page, good: int, every: int) -> None:
    expected = binomtest(good, every).proportion_ci(0.95, method="wilson")
    interval = run(blank, "tally", "return m.wilson(...x);", [good, every])
    assert interval == pytest.approx([expected.low, expected.high], abs=2e-4)


def test_sums(blank: Page) -> None:
    events = [
        query(1, truth="p1", snr_db=-0.5),
        query(2, truth="p2", snr_db=1.9),  # wrong: p1 stands first
        query(3, truth="p1", snr_db=0.0, decision="ambiguous", subject=""),
        query(4, truth="p1", snr_db=0.0, outage=True, identities=[], code="outage"),
        query(5, snr_db=None, decision="unspecified"),
        query(6, truth="p1", code="wrong_bundle", identities=[], uses=64, bandwidth=256),
        query(7, decision="unspecified", uses=512, bandwidth=256),
    ]
    sums = run(
        blank,
        "tally",
        "const t = new m.Tally(); x.forEach((q) => t.add(q)); "
        "return {...t, buckets: t.bySnr(), latest: t.latest.length};",
        events,
    )
    assert (sums["queries"], sums["known"], sums["right"]) == (7, 4, 2)
    assert sums["pieces"] == {"blocks": 2, "heard": 576, "whole": 512}
    assert sums["outcomes"] == {
        "match": 2,
        "ambiguous": 1,
        "unknown": 0,
        "unspecified": 2,
        "outage": 1,
        "refused": 1,
    }
    assert sums["buckets"] == [
        {"low": -2, "all": 1, "right": 1},
        {"low": 0, "all": 3, "right": 1},
    ]


@pytest.mark.parametrize("others", [[], [3.0], [-1.7e308, 0.0]])
def test_axes_end_whatever_an_event_says(blank: Page, others: list[float]) -> None:
    """The page draws an event of any SNR, score and threshold with few elements."""
    events = [
        query(number, truth="p1", snr_db=snr_db, threshold=1e308)
        | {"identities": [{"subject": "p1", "score": score, "entry_id": 1, "camera": "c"}]}
        for number, (snr_db, score) in enumerate(
            [(1.7e308, 1e308), (1e308, -1e308), (-1e300, 0.5), *((snr, 0.9) for snr in others)]
        )
    ]
    code = """
        const t = await import('/assets/js/tally.js');
        const tally = new t.Tally();
        x.forEach((q) => tally.add(q));
        const box = document.createElement('div');
        const sizes = [];
        m.accuracyChart(box, tally.bySnr());
        sizes.push(box.querySelectorAll('*').length);
        m.scoreChart(box, x);
        sizes.push(box.querySelectorAll('*').length);
        return sizes;
    """
    sizes = run(blank, "charts", code, events)
    assert all(10 < size < 150 for size in sizes), sizes


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-6, 10, 8, [-6, -4, -2, 0, 2, 4, 6, 8, 10]),
        (-7, 11, 4, [-5, 0, 5, 10]),
        (0.3, 1, 5, [0.4, 0.6, 0.8, 1]),
        (-100, 100, 9, [-100, -50, 0, 50, 100]),
        (0, 0, 5, []),
        (1, 0, 5, []),
    ],
)
def test_ticks_are_round(
    blank: Page, low: float, high: float, most: int, expected: list[float]
) -> None:
    assert run(blank, "charts", "return m.ticks(...x);", [low, high, most]) == expected


def test_ticks_are_few_and_even_whatever_the_range(blank: Page) -> None:
    draw = np.random.default_rng(2)
    spans = 10.0 ** draw.uniform(-9, 12, 300)
    lows = spans * draw.uniform(-1000, 1000, 300)
    ranges = [(low, low + span) for low, span in zip(lows, spans, strict=True)]
    ranges += [(-1e308, 1e308), (0, 1e308), (1e308, 1e308), (0, 1e-300), (0, 5e-324)]
    code = "return x.map(([low, high]) => m.ticks(low, high, 6));"
    for (low, high), values in zip(ranges, run(blank, "charts", code, ranges), strict=True):
        assert len(values) <= 7
        if len(values) < 2:
            continue
        step = (values[-1] - values[0]) / (len(values) - 1)
        mantissa = step / 10.0 ** np.floor(np.log10(step) + 1e-9)
        assert min(abs(mantissa - round_step) for round_step in (1, 2, 5, 10)) < 1e-3, values
        assert low - 0.01 * step <= values[0] <= values[-1] <= high + 0.01 * step


ALL_OF = """
    const item = m.allOf(x, JSON.stringify(x));
    document.documentElement.append(item);
    const drawn = { open: item.open, text: item.textContent };
    item.open = true;
    await new Promise((next) => item.addEventListener('toggle', next, { once: true }));
    drawn.names = [...item.querySelectorAll('dt')].map((e) => e.textContent);
    drawn.values = [...item.querySelectorAll('dd')].map((e) => e.textContent);
    drawn.folded = [...item.querySelectorAll('.inside summary')].map((e) => e.textContent);
    drawn.raw = item.querySelector('pre').textContent;
    for (const part of item.querySelectorAll('.inside details')) {
      part.open = true;
      await new Promise((next) => part.addEventListener('toggle', next, { once: true }));
    }
    drawn.heads = [...item.querySelectorAll('th')].map((e) => e.textContent);
    drawn.cells = [...item.querySelectorAll('td')].map((e) => e.textContent).slice(0, 4);
    drawn.rest = item.querySelector('p')?.textContent;
    item.querySelector('button').click();
    drawn.on_demand = item.querySelector('pre').textContent;
    drawn.elements = item.querySelectorAll('*').length;
    return drawn;
"""


def test_all_of_a_result_is_folded_and_readable(blank: Page) -> None:
    points = [{"snr_db": -2.5 + i, "threshold": None, "lost": 1 / 3} for i in range(10_000)]
    value = {"applied": True, "left_out": [], "schemes": ["a", "b"], "points": points}
    drawn = run(blank, "json", ALL_OF, value)
    assert (drawn["open"], drawn["text"]) == (False, "All of it")
    assert drawn["names"] == ["applied", "left out"]
    assert drawn["values"] == ["yes", "–"]
    assert drawn["folded"] == ["schemes", "points"]
    assert drawn["heads"] == ["snr db", "threshold", "lost"]
    assert drawn["cells"] == ["−2.5", "–", "0.333333", "−1.5"]
    assert drawn["rest"] == "and 9950 more, in the raw JSON"
    assert drawn["raw"] == ""
    assert json.loads(drawn["on_demand"]) == value
    assert drawn["elements"] < 400


def test_a_result_of_any_depth_is_drawn(blank: Page) -> None:
    value: object = "end"
    for _ in range(200):
        value = {"<b>": [1, {"x": value}]}
    code = ALL_OF.replace("m.allOf(x,", "m.allOf(x = JSON.parse(x),")
    assert run(blank, "json", code, json.dumps({"deep": value}))["elements"] < 100
    assert blank.locator("b").count() == 0


def test_the_feed_is_read_in_pieces_of_any_size(blank: Page) -> None:
    events = [query(i, edge_id=f"ünï {i}\n") for i in range(3)]
    text = "retry: 2000\n\n" + "".join(frame(event) + ": still here\n\n" for event in events)
    for size in (1, 7, 100_000):
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        code = "const out = []; const t = m.parser((e) => out.push(e)); x.forEach(t); return out;"
        parsed = run(blank, "events", code, pieces)
        assert [json.loads(event["data"]) for event in parsed] == events
        assert {event["event"] for event in parsed} == {"query"}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("m.decibel(-0.04)", "+0.0 dB"),
        ("m.decibel(-2.55)", "−2.5 dB"),
        ("m.decibel(null)", "–"),
        ("m.score(-0.1239)", "−0.124"),
        ("m.percent(1, 3)", "33 %"),
        ("m.percent(0, 0)", "–"),
        ("m.percent(0, 200)", "0 %"),
        ("m.percent(1, 200)", "0.5 %"),
        ("m.ago(3)", "3 s ago"),
        ("m.ago(7200)", "2 h ago"),
        ("m.count(1234567)", "1\u2009234\u2009567"),
    ],
)
def test_numbers_as_people_read_them(blank: Page, call: str, words: str) -> None:
    assert run(blank, "format", f"return {call};") == words


def test_files_have_their_types_and_stay_inside(blank: Page, assets: str) -> None:
    kinds = {".js": "javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    for path in STATIC.rglob("*.*"):
        if path.suffix not in kinds:
            continue
        answer = blank.request.get(f"{assets}/assets/{path.relative_to(STATIC)}")
        assert kinds[path.suffix] in answer.headers["content-type"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-cache"
    assert blank.request.get(f"{assets}/assets/../mount.py").status == 404
    assert blank.request.get(f"{assets}/assets/%2e%2e/mount.py").status == 404


def test_no_script_makes_html_of_text() -> None:
    words = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(")
    for path in STATIC.rglob("*.js"):
        forbidden = [word for word in words if word in path.read_text()]
        assert forbidden == [], path.name
