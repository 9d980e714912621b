"""The benchmark's peer finds the same, and the bench says so."""

from benchmarks.evaluation import Size, measure


def test_peer_and_evaluator_agree() -> None:
    row = measure(Size("small", 40, 150, 12, 3, distractors=20), peer_queries=25)
    assert row.same
    assert (row.queries, row.gallery, row.peer_queries) == (40, 150, 25)
    assert 0 < row.map < 1
    assert row.peak_mib < 64
