"""Blocks in pieces beside whole ones, small: every block is answered, in pieces by fewer uses."""

from __future__ import annotations

from benchmarks.pieces import measure


def test_a_row_for_answers_and_one_for_waits() -> None:
    answers, waits = measure(256, 5.0, 32, 1, 4, lambda uses: uses / 1e6)
    assert answers.limit == 0.7
    assert answers.peer_name in ("whole blocks of 32 uses", "whole blocks of 64 uses")
    assert answers.ours > 0
    assert waits.peer is not None
    assert (waits.peer_name, waits.repetitions) == ("whole blocks of 256 uses", 32)
    assert waits.peer >= 0.256
    assert waits.ours >= 0.032
