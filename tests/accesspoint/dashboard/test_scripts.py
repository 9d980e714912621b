"""The page's own sums and its reading of the feed, against other people's formulas."""

from __future__ import annotations

import json

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
        query(6, truth="p1", code="wrong_bundle", identities=[]),
    ]
    sums = run(
        blank,
        "tally",
        "const t = new m.Tally(); x.forEach((q) => t.add(q)); "
        "return {...t, buckets: t.bySnr(), latest: t.latest.length};",
        events,
    )
    assert (sums["queries"], sums["known"], sums["right"]) == (6, 4, 2)
    assert sums["outcomes"] == {
        "match": 2,
        "ambiguous": 1,
        "unknown": 0,
        "unspecified": 1,
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
