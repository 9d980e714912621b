"""Answers that wait are counted by connection, and too many or too old ones name theirs."""

from __future__ import annotations

import time

from airreid.unread_answers import (
    ANSWER_SECONDS,
    ANSWERS_BYTES,
    CONNECTION_BYTES,
    UnreadAnswers,
)


def test_an_answer_that_was_taken_counts_no_more() -> None:
    answers = UnreadAnswers()
    taken = answers.add(("192.0.2.1", 1), CONNECTION_BYTES)
    assert answers.overdue(time.monotonic()) == [("192.0.2.1", 1)]
    taken()
    taken()  # whoever says it twice changes nothing
    assert answers.overdue(time.monotonic() + 2 * ANSWER_SECONDS) == []


def test_an_old_answer_is_overdue_however_short() -> None:
    answers = UnreadAnswers()
    answers.add(("192.0.2.1", 1), 0)
    assert answers.overdue(time.monotonic()) == []
    assert answers.overdue(time.monotonic() + 2 * ANSWER_SECONDS) == [("192.0.2.1", 1)]


def test_of_too_many_the_connection_that_holds_most_is_ended() -> None:
    answers = UnreadAnswers()
    for number in range(ANSWERS_BYTES // (4 << 20)):
        answers.add(("192.0.2.1", number), 4 << 20)
    answers.add(("192.0.2.2", 1), 5 << 20)
    assert answers.overdue(time.monotonic()) == [("192.0.2.2", 1)]


def test_of_far_too_many_as_many_are_ended_as_it_takes() -> None:
    answers = UnreadAnswers()
    for number in range(3 * ANSWERS_BYTES // (1 << 20)):
        answers.add(("192.0.2.1", number), 1 << 20)
    overdue = answers.overdue(time.monotonic())
    assert ANSWERS_BYTES // (1 << 20) <= len(overdue) <= ANSWERS_BYTES // (1 << 20) + 8
