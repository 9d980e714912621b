from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from accesspoint.matching import trials
from accesspoint.matching.trials import Direct, Enrolled, choose, count_steps, run_trials
from airreid.errors import InputError
from airreid.retrieval import cosine


def _oracle(enrolled: Enrolled, rows: list[int]) -> list[tuple[float, float, float]]:
    """(impostor, second_impostor, genuine) of each row, entry by entry."""
    scores = cosine(enrolled.features, enrolled.features)
    expected = []
    for row in rows:
        by_subject: dict[str, float] = {}
        genuine = -np.inf
        for other, subject in enumerate(enrolled.subjects):
            if subject != enrolled.subjects[row]:
                by_subject[subject] = max(by_subject.get(subject, -np.inf), scores[row, other])
            elif enrolled.cameras[other] != enrolled.cameras[row]:
                genuine = max(genuine, scores[row, other])
        ranked = [*sorted(by_subject.values(), reverse=True), -np.inf, -np.inf]
        expected.append((ranked[0], ranked[1], genuine))
    return expected


@pytest.mark.parametrize("rows_at_once", [1, 7, 2048])
def test_scores_are_those_of_brute_force(
    rows_at_once: int, make_people: Callable[..., Enrolled], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "_ROWS", rows_at_once)
    people = make_people(9, cameras=2, shots=2)
    # One subject with many entries, one with a single one, entries in no order.
    order = np.random.default_rng(3).permutation(36)
    names = ["p0001" if name == "p0002" else name for name in people.subjects]
    mixed = Enrolled(
        people.features[order],
        ["lone" if i == 35 else names[i] for i in order],
        [people.cameras[i] for i in order],
    )
    steps: list[int] = []
    scored = run_trials(mixed, Direct(), [20.0], 100, 0, steps.append)
    assert sum(steps) == count_steps(36, 1, 100) == 72
    expected = np.array(_oracle(mixed, list(range(36))))
    for values, column in zip(
        (scored.impostor, scored.second_impostor, scored.genuine), expected.T, strict=True
    ):
        np.testing.assert_allclose(values[0], column, atol=1e-5)
    assert np.isneginf(scored.genuine[0]).sum() == 1
    assert not scored.lost.any()


def test_two_subjects_have_no_second_stranger(make_people: Callable[..., Enrolled]) -> None:
    scored = run_trials(make_people(2), Direct(), [20.0], 10, 0)
    assert np.isneginf(scored.second_impostor).all()
    assert np.isfinite(scored.impostor).all()


def test_lost_blocks_have_no_scores(
    make_people: Callable[..., Enrolled], make_code: Callable[..., trials.Sender]
) -> None:
    scored = run_trials(make_people(20), make_code(24, cliff_db=0.0), [-5.0, 5.0], 100, 0)
    assert scored.lost.tolist() == [[True] * 40, [False] * 40]
    for values in (scored.impostor, scored.second_impostor, scored.genuine):
        assert np.isnan(values[0]).all()
        assert not np.isnan(values[1]).any()


def test_same_seed_same_trials_and_noise_differs_by_snr(
    make_people: Callable[..., Enrolled], make_code: Callable[..., trials.Sender]
) -> None:
    people = make_people(40)
    first, again = (run_trials(people, make_code(24), [0.0, 0.01], 50, 7) for _ in range(2))
    np.testing.assert_array_equal(first.impostor, again.impostor)
    np.testing.assert_array_equal(first.people, again.people)
    # 0.01 dB apart, the scores differ by their noise.
    assert np.abs(first.impostor[0] - first.impostor[1]).mean() > 0.01
    other = run_trials(people, make_code(24), [0.0], 50, 8)
    assert not np.array_equal(other.people, first.people)


def test_choice_is_even_over_subjects() -> None:
    rng = np.random.default_rng(4)
    subject = rng.permutation(np.repeat(np.arange(30), rng.integers(1, 20, 30)))
    sizes = Counter(subject.tolist())
    for most in (5, 30, 100, 1000):
        rows = choose(subject, most, np.random.default_rng(5))
        assert len(set(rows.tolist())) == len(rows) == min(most, len(subject))
        taken = Counter(subject[rows].tolist())
        # Water filling: nobody has fewer than another by more than one, unless exhausted.
        most_taken = max(taken.values())
        assert all(taken[person] >= min(sizes[person], most_taken - 1) for person in sizes)


def test_lengths_must_agree() -> None:
    with pytest.raises(InputError, match="as many"):
        Enrolled(np.zeros((2, 4), np.float32), ["a"], ["c", "c"])
