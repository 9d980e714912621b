"""The metrics against a slow oracle that follows the words of the protocol."""

import numpy as np
import pytest

from airreid.retrieval import Labels, cosine, evaluate_ranking, guessing, people_half_width, rank


def oracle(scores, queries, gallery):  # type: ignore[no-untyped-def]
    top1, precision = [], []
    for q in range(len(scores)):
        items = sorted(range(scores.shape[1]), key=lambda g: (-scores[q, g], g))
        ranked = [
            g
            for g in items
            if not (
                gallery.identity[g] == queries.identity[q]
                and gallery.camera[g] == queries.camera[q]
            )
        ]
        right = [gallery.identity[g] == queries.identity[q] for g in ranked]
        if not any(right):
            continue
        top1.append(right[0])
        hits, total = 0, 0.0
        for position, hit in enumerate(right, 1):
            if hit:
                hits += 1
                total += hits / position
        precision.append(total / hits)
    return len(top1), np.mean(top1), np.mean(precision)


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_the_oracle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Few score levels: many ties. Identity 9 is never enrolled, 10 is nobody's query.
    scores = rng.integers(0, 6, (40, 30)) / 5
    queries = Labels(rng.integers(0, 10, 40), rng.integers(0, 3, 40))
    gallery = Labels(rng.integers(-1, 9, 30) % 11, rng.integers(0, 3, 30))
    retrieval = evaluate_ranking(rank(scores), queries, gallery)
    count, top1, mean_ap = oracle(scores, queries, gallery)
    assert retrieval.queries == count < 40
    assert retrieval.top1 == pytest.approx(top1)
    assert retrieval.mean_ap == pytest.approx(mean_ap)
    assert retrieval.top1 <= retrieval.top5 <= retrieval.top10


def test_an_identity_of_one_camera_only_has_no_answer() -> None:
    retrieval = evaluate_ranking(
        np.array([[0, 1]]),
        Labels(np.array([1]), np.array([0])),
        Labels(np.array([1, 2]), np.array([0, 0])),
    )
    assert retrieval.queries == 0
    assert np.isnan(retrieval.top1)


def test_guessing_is_the_mean_of_random_rankings() -> None:
    rng = np.random.default_rng(3)
    queries = Labels(rng.integers(0, 6, 40), rng.integers(0, 2, 40))
    gallery = Labels(rng.integers(0, 6, 30), rng.integers(0, 2, 30))
    drawn = [oracle(rng.random((40, 30)), queries, gallery)[1] for _ in range(200)]
    assert guessing(queries, gallery) == pytest.approx(np.mean(drawn), abs=0.02)
    nobody = Labels(np.asarray([7]), np.asarray([0]))
    assert np.isnan(guessing(nobody, gallery))


def test_the_interval_over_people_is_that_of_as_many_trials() -> None:
    assert people_half_width(0.5, 100) == pytest.approx(0.098)
    assert people_half_width(0.0, 40) > 0, "nobody found of 40 is no certainty"


def test_a_lost_query_is_a_miss_not_an_absence() -> None:
    labels = Labels(np.array([1, 1]), np.array([0, 0]))
    gallery = Labels(np.array([1, 2]), np.array([1, 1]))
    retrieval = evaluate_ranking(np.array([[0, 1], [-1, -1]]), labels, gallery)
    assert (retrieval.queries, retrieval.top1, retrieval.mean_ap) == (2, 0.5, 0.5)


def test_cosine_of_zeros_is_zero() -> None:
    scores = cosine(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[6.0, 8.0], [0.0, 0.0]]))
    np.testing.assert_allclose(scores, [[0, 0], [1, 0]], atol=1e-12)
