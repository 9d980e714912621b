"""The stopping rule: odds, thresholds, and what it saves and loses on people drawn at random."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pydantic import ValidationError

from airreid.nested.calibration import (
    SNRS_DB,
    Trial,
    fit_rule,
    reliability,
    stopped_at,
    trajectories,
)
from airreid.nested.stopping import (
    StoppingRule,
    StoppingSettings,
    more_uses,
    next_uses,
    pieces_wanted,
    probability,
    raw_log_odds,
)
from airreid.noise import PIECES_MAX
from airreid.retrieval import Labels
from airreid.signal import normalise_power

PIECE, BANDWIDTH = 16, 128


def trial(seed: int, count: int = 60) -> Trial:
    """Symbols in pieces of power 1, of people seen once by each of two cameras."""
    random = np.random.default_rng(seed)
    who = random.standard_normal((count, BANDWIDTH))

    def seen() -> np.ndarray:
        symbols = who + 0.8 * random.standard_normal(who.shape)
        pieces = normalise_power(symbols.reshape(count, -1, PIECE))
        return pieces.reshape(count, -1).astype(np.float32)

    names = np.arange(count)
    first, second = (Labels(names, np.full(count, camera)) for camera in (0, 1))
    return Trial(seen(), seen(), first, second)


@pytest.fixture(scope="module")
def rule() -> StoppingRule:
    return fit_rule([trial(seed) for seed in range(4)], PIECE)[0]


def test_odds_are_those_of_the_likelihoods() -> None:
    products = np.array([[4.0, 1.0, 2.0]])
    likelihood = np.exp(products[0] / (1.0 + 3.0))
    expected = np.log(likelihood[0] / (likelihood[1] + likelihood[2]))
    assert raw_log_odds(products, 0.0, 3.0)[0] == pytest.approx(expected)
    assert raw_log_odds(products[:, :1], 0.0, 3.0)[0] == 50.0


def test_one_block_is_asked_for_as_many_are(rule: StoppingRule) -> None:
    """The receiver asks block by block, without arrays; the calibration all blocks at once."""
    draws = np.random.default_rng(0)
    for snr_db in (-10.0, -3.0, 0.0, 7.0):
        products = draws.standard_normal((200, 10)) * draws.uniform(1.0, 60.0, (200, 1))
        heard = draws.integers(1, BANDWIDTH // PIECE, 200)
        odds = rule.log_odds(products, snr_db)
        each = [rule.log_odds_of_block(row, snr_db) for row in products]
        np.testing.assert_allclose(each, odds, rtol=1e-9, atol=1e-9)
        threshold = rule.threshold(snr_db, 0.005, repeated=False)
        wanted = np.where(odds < threshold, pieces_wanted(odds, threshold, heard), 0)
        left = BANDWIDTH // PIECE - heard
        uses = [
            next_uses(
                rule,
                StoppingSettings(),
                (BANDWIDTH, PIECE),
                int(pieces) * PIECE,
                row,
                (snr_db, snr_db),
            )
            for row, pieces in zip(products, heard, strict=True)
        ]
        assert uses == (np.minimum(wanted, left) * PIECE).tolist()
        assert rule.log_odds_of_block(products[0, :1], snr_db) == rule.log_odds(
            products[:1, :1], snr_db
        )
    assert rule.log_odds_of_block([1e300, 0.0], 0.0) == rule.intercept + rule.slope * 50.0


@pytest.mark.parametrize("snr_db", [0.0, 5.0, 20.0])
def test_it_saves_uses_and_loses_what_is_accepted(rule: StoppingRule, snr_db: float) -> None:
    """On other people than it was fitted on. 480 blocks: the loss is known to a point or so."""
    tested = trajectories([trial(seed) for seed in range(10, 14)], PIECE, snr_db, 1, 1.0)
    odds = rule.log_odds(tested.products, snr_db)
    step = stopped_at(odds, rule.threshold(snr_db, 0.005, repeated=False))
    top1 = tested.right[np.arange(len(step)), step].mean()
    assert tested.right[:, -1].mean() - top1 < 0.02
    assert (step + 1).mean() * PIECE < 0.85 * BANDWIDTH
    # less is heard where more may be lost, and everything where nothing may
    lax = stopped_at(odds, rule.threshold(snr_db, 0.05, repeated=False))
    assert lax.mean() < step.mean()
    assert (lax[step == 0] == 0).all()
    none = stopped_at(odds, rule.threshold(snr_db, 0.0, repeated=False))
    assert (none == BANDWIDTH // PIECE - 1).all()


def test_repetition_finds_who_is_lost_in_noise(rule: StoppingRule) -> None:
    tested = trajectories([trial(20), trial(21)], PIECE, -10.0, 4, rule.mismatch)
    whole = tested.right[:, BANDWIDTH // PIECE - 1].mean()
    steps = rule.most(-10.0) // PIECE
    assert steps * PIECE > BANDWIDTH
    odds = rule.log_odds(tested.products[:, :steps], -10.0)
    step = stopped_at(odds, rule.threshold(-10.0, 0.005, repeated=True))
    assert tested.right[np.arange(len(step)), step].mean() > whole + 0.1
    assert rule.most(20.0) == BANDWIDTH


def test_probabilities_come_true(rule: StoppingRule) -> None:
    tested = trajectories([trial(seed) for seed in range(30, 34)], PIECE, 0.0, 1, 1.0)
    diagram = reliability(
        rule.log_odds(tested.products, 0.0), tested.right, np.zeros(tested.right.shape, np.int64)
    )
    assert sum(diagram.blocks) == tested.right.size
    assert diagram.error < 0.1


def test_thresholds_lie_between_their_neighbours(rule: StoppingRule) -> None:
    for low, high in itertools.pairwise(SNRS_DB):
        ends = [rule.threshold(snr_db, 0.01, repeated=False) for snr_db in (low, high)]
        between = rule.threshold((low + high) / 2, 0.01, repeated=False)
        assert min(ends) <= between <= max(ends)
    assert rule.threshold(-40, 0.01, False) == rule.threshold(SNRS_DB[0], 0.01, False)
    assert rule.first(-40.0) >= rule.first(20.0)
    assert PIECE <= rule.fixed(20.0) <= BANDWIDTH


def test_a_rule_keeps_its_form(rule: StoppingRule) -> None:
    assert StoppingRule.model_validate_json(rule.model_dump_json()) == rule
    for change in (
        {"stop": rule.stop[:-1]},
        {"repeat": ((0.0,),) * len(SNRS_DB)},
        {"first_uses": (1,)},
        {"first_uses": (0, *rule.first_uses[1:])},
        {"fixed_uses": (-32, *rule.fixed_uses[1:])},
        {"most_uses": (1 << 32, *rule.most_uses[1:])},
        {"snrs_db": tuple(reversed(SNRS_DB))},
        {"slope": 0.0},
        {"mismatch": float("nan")},
    ):
        with pytest.raises(ValidationError):
            StoppingRule.model_validate(rule.model_dump() | change)


def test_nobody_seen_twice_gives_no_rule() -> None:
    alone = trial(0)
    with pytest.raises(ValueError, match="nobody is seen by two cameras"):
        fit_rule(
            [Trial(alone.queries, alone.gallery, alone.query_labels, alone.query_labels)], PIECE
        )


def test_the_probabilities_are_compared_with_what_came_true() -> None:
    trials = [trial(seed) for seed in range(4)]
    rule, reliability = fit_rule(trials, PIECE)
    counted = [t.query_labels.identity[t.counted] for t in trials]
    queries, people = sum(map(len, counted)), sum(len(set(row.tolist())) for row in counted)
    steps = trials[0].queries.shape[1] // PIECE
    assert sum(reliability.blocks) == queries * steps * len(SNRS_DB) * 2
    assert max(reliability.people) <= rule.people == people
    assert all(
        (blocks == 0) == (count == 0)
        for blocks, count in zip(reliability.blocks, reliability.people, strict=True)
    )
    assert reliability.error < 0.05
    assert [saving.snr_db for saving in reliability.savings] == list(SNRS_DB)
    uses = [saving.uses for saving in reliability.savings]
    assert PIECE <= uses[-1] < uses[0] <= trials[0].queries.shape[1]
    for saving in reliability.savings:
        assert saving.top1 >= saving.whole_top1 - 0.015


def test_the_next_pieces_are_whole_and_end_with_the_block() -> None:
    assert more_uses(32, 32, 0.0, 224) == 32
    assert more_uses(64, 32, 1.0, 192) == 64
    assert more_uses(96, 32, 0.5, 160) == 32
    assert more_uses(224, 32, 3.0, 32) == 32
    assert more_uses(256, 32, 0.0, 0) == 0


def test_no_probability_overflows() -> None:
    assert probability(np.array([-1e9, 0.0, 1e9])) == pytest.approx([0.0, 0.5, 1.0])


def test_as_many_pieces_are_asked_for_as_the_odds_call_for() -> None:
    odds = np.array([1.9, 0.0, -1.0, -1.5, -4.0])
    wanted = pieces_wanted(odds, 2.0, np.full(5, 2))
    assert wanted.tolist() == [1, 1, 5, 5, 10]
    assert int(pieces_wanted(-1.0, 50.0, 1)) == 51
    assert int(pieces_wanted(-1.0, 500.0, 1)) == 64


def test_without_a_loss_every_piece_is_heard_however_sure_the_rule(rule: StoppingRule) -> None:
    sure, nothing = np.array([1e4, 0.0, 0.0]), StoppingSettings(accepted_loss=0)
    for steep in (rule, rule.model_copy(update={"slope": 1e6, "intercept": 1e6})):
        assert steep.log_odds(sure, 20.0) > steep.threshold(20.0, 0.05, repeated=False)
        asked = next_uses(steep, nothing, (BANDWIDTH, PIECE), PIECE, sure, (20.0, 20.0))
        assert asked == BANDWIDTH - PIECE
        assert not next_uses(steep, nothing, (BANDWIDTH, PIECE), BANDWIDTH, sure, (20.0, 20.0))


def test_no_piece_is_asked_for_that_a_block_cannot_have(rule: StoppingRule) -> None:
    many = StoppingSettings(most_uses=65536, accepted_loss=0)
    patient = rule.model_copy(update={"most_uses": (1 << 20,) * len(SNRS_DB)})
    block, doubtful = (4, 4), np.zeros(3)
    for left in (0, 1):
        heard = 4 * (PIECES_MAX - left)
        assert next_uses(patient, many, block, heard, doubtful, (0.0, 0.0)) == 4 * left


@pytest.mark.parametrize(
    ("most", "limit"), [(0, 128), (1, 16), (33, 32), (64, 64), (128, 128), (300, 288)]
)
def test_no_more_is_asked_for_than_the_operator_allows(
    rule: StoppingRule, most: int, limit: int
) -> None:
    settings, block = StoppingSettings(most_uses=most), (BANDWIDTH, PIECE)
    assert settings.limit(BANDWIDTH, PIECE) == limit
    patient = rule.model_copy(update={"most_uses": (1 << 20,) * len(SNRS_DB)})
    for stopping, most_heard in ((patient, limit), (None, min(limit, BANDWIDTH))):
        heard = PIECE
        while asked := next_uses(stopping, settings, block, heard, np.zeros(3), (-10.0, -10.0)):
            heard += asked
        assert heard == most_heard
