"""How many pieces a camera sends at once: the best for what its latest blocks needed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from airreid.link_report import LinkReport
from airreid.nested.pacing import Pacing, pieces_at_once, shares_of_need
from airreid.v1 import uplink_pb2

PIECE, WHOLE = 32, 256
COUNT = WHOLE // PIECE
RATE = 1000.0


def plans(count: int) -> Iterator[list[int]]:
    """Yields every way to cut pieces into messages."""
    for cuts in itertools.product((False, True), repeat=count - 1):
        ends = [number for number, is_cut in enumerate(cuts, 1) if is_cut] + [count]
        yield np.diff([0, *ends]).tolist()


def mean_cost(plan: list[int], shares: np.ndarray, heard: int, round_trip: float) -> float:
    """Mean pieces and round trips of blocks that need more than ``heard``, by definition."""
    total = 0.0
    for need, share in enumerate(shares, 1):
        if need <= heard:
            continue
        reached = heard
        for pieces in plan:
            total += share * (pieces + round_trip)
            reached += pieces
            if reached >= need:
                break
    return total


@pytest.mark.parametrize("round_trip", [0.0, 0.3, 1.5, 6.25, 40.0])
def test_the_next_message_is_that_of_the_best_plan(round_trip: float) -> None:
    draws = np.random.default_rng(int(round_trip * 100))
    for _ in range(12):
        shares = draws.dirichlet(np.full(7, 0.4))
        heard = int(draws.integers(0, 6))
        costs = {
            tuple(plan): mean_cost(plan, shares, heard, round_trip) for plan in plans(7 - heard)
        }
        pieces = pieces_at_once(shares, heard, round_trip)
        best = min(cost for plan, cost in costs.items() if plan[0] == pieces)
        assert best == pytest.approx(min(costs.values()))


def test_a_word_that_costs_nothing_is_waited_for_after_every_piece() -> None:
    shares = np.full(COUNT, 1 / COUNT)
    assert [pieces_at_once(shares, heard, 0.0) for heard in range(COUNT)] == [1] * COUNT
    assert pieces_at_once(shares, 0, 1e6) == COUNT
    assert pieces_at_once(np.eye(COUNT)[4], 0, 1.0) == 5
    assert pieces_at_once(np.eye(COUNT)[4], 2, 1.0) == 3
    assert pieces_at_once(np.eye(COUNT)[1], 4, 1.0) == 1  # nothing is known of such blocks


def test_shares_are_those_of_the_blocks_where_each_tells_its_need() -> None:
    exact = [(0, 1)] + [(1, 2)] * 5 + [(4, 5)] * 2
    assert shares_of_need(exact, 6).tolist() == [1 / 8, 5 / 8, 0, 0, 2 / 8, 0]
    # what tells less goes by what tells more
    vague = shares_of_need([*exact, *[(0, 2)] * 12], 6)
    assert vague == pytest.approx([3 / 20, 15 / 20, 0, 0, 2 / 20, 0], abs=1e-3)
    assert shares_of_need([], 4).tolist() == [0.25] * 4
    assert shares_of_need([(6, 9), (9, 12)], 4).tolist() == [0, 0, 0, 1]


class Camera:
    """A camera and its access point, by a clock of their own; one block after another."""

    def __init__(self, round_trip: float, snr_db: float = 0.0) -> None:
        self.now = 0.0
        self.pacing = Pacing(RATE, lambda: self.now)
        self.round_trip = round_trip
        self.report = LinkReport(snr_db, 0.0, PIECE, WHOLE)
        self.sequence = 0

    def send(self, need: int) -> list[int]:
        """Sends a block that needs so many pieces, of which one is asked for at a time."""
        self.sequence += 1
        pacing, number = self.pacing, self.sequence
        uses = pacing.begin(number, "s", PIECE, WHOLE, self.report.first_uses, self.report)
        messages = [uses]
        while True:
            self.now += messages[-1] / RATE + self.round_trip
            heard = sum(messages)
            response = uplink_pb2.QueryResponse(uses_heard=heard)
            response.id.sequence = number
            assert self.report.snr_db is not None
            response.channel.snr_db = self.report.snr_db
            is_answer = heard >= min(need * PIECE, WHOLE)
            response.more_wanted = 0 if is_answer else PIECE
            pacing.heard(response)
            if is_answer:
                pacing.ended(number)
                return messages
            messages.append(pacing.go_on(number, PIECE, self.report))


def test_where_a_round_trip_is_cheap_blocks_go_out_as_asked() -> None:
    camera = Camera(round_trip=0.9 * PIECE / RATE)
    for need in [3, 1, 8, 2] * 20:
        assert camera.send(need) == [PIECE] * need
    assert camera.pacing.round_trip() == pytest.approx(0.9 * PIECE / RATE)


def test_where_it_is_dear_blocks_begin_with_what_most_of_them_need() -> None:
    camera = Camera(round_trip=6.25 * PIECE / RATE)
    draws = np.random.default_rng(0)
    needs = draws.choice([2, 3], 400, p=[0.9, 0.1])
    messages = [camera.send(int(need)) for need in needs]
    first = [sent[0] // PIECE for sent in messages]
    assert first[:3] == [1] * 3  # little is known yet
    assert set(first[3:]) <= {1, 2, 3}
    assert first.count(1) < 40  # now and then less is tried
    assert first.count(2) + first.count(3) > 360
    assert all(sum(sent) >= PIECE * need for sent, need in zip(messages, needs, strict=True))


def test_it_follows_needs_that_fall_and_rise() -> None:
    camera = Camera(round_trip=6.25 * PIECE / RATE)
    for need in (8, 1, 8):
        first = [camera.send(need)[0] // PIECE for _ in range(200)][-64:]
        assert first.count(need) >= 56
        assert all(camera.send(need)[0] >= PIECE for _ in range(3))


def test_blocks_of_another_snr_say_nothing() -> None:
    camera = Camera(round_trip=6.25 * PIECE / RATE, snr_db=-8.0)
    for _ in range(20):
        camera.send(8)
    assert camera.send(8) == [WHOLE]
    camera.report = LinkReport(10.0, 0.5, PIECE, WHOLE)
    assert camera.send(1) == [PIECE]
    camera.report = LinkReport(-7.0, 0.5, PIECE, WHOLE)
    assert camera.send(8) == [WHOLE]
    camera.report = LinkReport(10.0, 12.0, PIECE, WHOLE)  # it spreads so far that they may
    assert camera.send(8) == [WHOLE]


def test_blocks_that_are_under_way_share_the_round_trip() -> None:
    camera = Camera(round_trip=6.25 * PIECE / RATE)
    for need in [2] * 3 + [1] * 6:
        camera.send(need)
    pacing, report = camera.pacing, camera.report
    alone = pacing.begin(100, "s", PIECE, WHOLE, PIECE, report)
    assert alone == 2 * PIECE
    for number in range(101, 110):
        last = pacing.begin(number, "s", PIECE, WHOLE, PIECE, report)
    assert last == PIECE


def test_what_waited_for_its_turn_is_no_longer_round_trip() -> None:
    """The radio sends one message after another: the word of the last is late for all of them."""
    now = [0.0]
    pacing = Pacing(RATE, lambda: now[0])
    report = LinkReport(0.0, 0.0, PIECE, WHOLE)
    for number in range(5):
        pacing.begin(number, "s", PIECE, WHOLE, PIECE, report)
    for number in range(5):
        now[0] = (number + 1) * PIECE / RATE + 0.25
        response = uplink_pb2.QueryResponse(uses_heard=PIECE)
        response.id.sequence = number
        pacing.heard(response)
        pacing.heard(response)  # it comes twice
        pacing.ended(number)
        assert pacing.round_trip() == pytest.approx(0.25)


def test_words_that_are_late_or_of_nobody_say_nothing() -> None:
    camera = Camera(round_trip=0.25)
    pacing, report = camera.pacing, camera.report
    pacing.begin(1, "s", PIECE, WHOLE, 2 * PIECE, report)
    for number, heard, repeated in ((2, PIECE, False), (1, PIECE, False), (1, 2 * PIECE, True)):
        response = uplink_pb2.QueryResponse(uses_heard=heard, repeated_answer=repeated)
        response.id.sequence = number
        pacing.heard(response)
    assert pacing.round_trip() == 0.0
    assert pacing.go_on(7, 3 * PIECE, report) == 3 * PIECE
    # a block is repeated after its last piece as it is asked for
    assert pacing.go_on(1, WHOLE, report) == WHOLE
    assert pacing.go_on(1, 99 * PIECE, report) == WHOLE
