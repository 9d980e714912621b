"""Blocks in pieces beside whole ones, small: every block is answered, in pieces by fewer uses."""

from __future__ import annotations

from benchmarks.pieces import measure
from benchmarks.pieces_wait import SlowLink


def test_a_row_for_answers_and_one_for_waits() -> None:
    answers, waits = measure(256, 5.0, 32, 1, 4, SlowLink(round_trip_ms=2.0, symbol_rate=1e5))
    assert answers.limit == 0.7
    assert answers.peer_name.startswith("whole blocks of ")
    assert answers.ours > 0
    assert answers.peer is not None
    assert answers.peer > 0
    assert waits.peer is not None
    assert (waits.peer_name, waits.repetitions) == ("whole blocks of 256 uses", 32)
    assert waits.peer >= 2.0 + 2.56 - 0.1
    assert waits.ours >= 2.0 + 0.32 - 0.1
