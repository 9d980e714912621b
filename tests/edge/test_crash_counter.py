"""Names that were under way when the process ended, over starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.crash_counter import CRASH_LIMIT, CrashCounter


def test_every_end_while_a_name_was_under_way_counts(tmp_path: Path) -> None:
    assert CRASH_LIMIT == 10
    path = tmp_path / "under-way.json"
    for crashes in range(3):
        counter = CrashCounter(path)
        assert counter.crashes("bad.png") == crashes
        assert counter.crashes("good.png") == 0
        counter.begin("good.png")
        counter.begin("bad.png")
        counter.end("good.png")  # and then the process dies
    assert CrashCounter(path).crashes("bad.png") == 3
    assert json.loads(path.read_text()) == {"under_way": ["bad.png"], "deaths": {"bad.png": 2}}


def test_a_verdict_forgets_a_name(tmp_path: Path) -> None:
    path = tmp_path / "under-way.json"
    CrashCounter(path).begin("a.png")
    counter = CrashCounter(path)
    assert counter.crashes("a.png") == 1
    counter.begin("a.png")
    counter.end("a.png")
    counter.end("never begun")
    assert counter.crashes("a.png") == CrashCounter(path).crashes("a.png") == 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_counter_without_a_file_remembers_nothing() -> None:
    counter = CrashCounter(None)
    counter.begin("a.png")
    counter.end("a.png")
    assert counter.crashes("a.png") == 0


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "3", '{"deaths": {}}', '{"under_way": []}', "\xff"),
        '{"deaths": {"a": "x"}, "under_way": []}',
        '{"deaths": [], "under_way": []}',
        '{"deaths": {}, "under_way": 7}',
    ],
)
def test_a_torn_file_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "under-way.json"
    path.write_text(text, encoding="latin-1")
    counter = CrashCounter(path)
    assert counter.crashes("a") == 0
    counter.begin("a")
    assert CrashCounter(path).crashes("a") == 1


def test_a_disk_that_takes_nothing_stops_nothing(tmp_path: Path) -> None:
    counter = CrashCounter(tmp_path / "gone" / "under-way.json")
    counter.begin("a")
    counter.end("a")
    assert counter.crashes("a") == 0
