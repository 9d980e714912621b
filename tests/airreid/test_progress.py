"""Progress in a log file: lines that say something, not bars; none when none is wanted."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from airreid import console, progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test turns on by hand."""
    now = [100.0]
    monkeypatch.setattr("airreid.progress.time.monotonic", lambda: now[0])
    return now


def test_without_a_terminal_there_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    plain = progress.Lines(Console(stderr=True, get_time=lambda: clock[0]))
    with plain as bars:
        task = bars.add_task("enrolling", total=40)
        for _ in range(39):
            clock[0] += 1
            bars.advance(task)
        assert len(capsys.readouterr().err.splitlines()) == 3
        bars.advance(task)
    [last] = capsys.readouterr().err.splitlines()
    assert last.startswith("enrolling: 40 of 40, 0:00:39")
    assert "\x1b" not in last


def test_a_task_without_an_end_is_counted(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    with progress.Lines(Console(stderr=True)) as bars:
        task = bars.add_task("calibrating", total=None)
        bars.update(task, completed=5)
        assert not capsys.readouterr().err
        clock[0] += 11
        bars.update(task, completed=7)
    assert capsys.readouterr().err.startswith("calibrating: 7, ")


def test_loops_that_are_tracked_are_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Lines(Console(stderr=True)) as bars:
        assert list(bars.track(range(3), description="reading")) == [0, 1, 2]
    assert capsys.readouterr().err.startswith("reading: 3 of 3")


def test_the_kind_follows_the_terminal_and_the_wish(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(progress.bars(), progress.Lines)
    assert not isinstance(progress.bars(quiet=True), progress.Lines)
    console.note("a note")
    console.set_quiet(True)
    try:
        with console.progress_bars() as bars:
            bars.advance(bars.add_task("x", total=1))
        console.note("another")
    finally:
        console.set_quiet(False)
    assert capsys.readouterr().err == "a note\n"
    monkeypatch.setattr(
        "airreid.progress.Console", lambda stderr: Console(file=io.StringIO(), force_terminal=True)
    )
    assert not isinstance(progress.bars(), progress.Lines)
