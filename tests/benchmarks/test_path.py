"""The path's benchmark runs what it says: real processes, every answer checked."""

from __future__ import annotations

import pytest

from airreid.errors import LinkError
from benchmarks import codec, path, replay
from benchmarks.path_edge import EdgeLoad, run


def test_a_query_without_an_answer_is_no_figure() -> None:
    load = EdgeLoad("127.0.0.1:9", (), "jscc-ae-64", 1, alone=False)
    with pytest.raises(LinkError, match="no answer within"):
        run(load, 1)


def test_the_coders_are_measured_on_what_they_give_back() -> None:
    rows = {row.name: row for row in codec.measure(rounds=1)}
    assert len(rows) == 4
    for name in ("arithmetic coder, encode", "arithmetic coder, decode"):
        assert rows[name].ours > 0
        assert rows[name].repetitions == 10
    assert codec.prior().dimensions == 256


@pytest.mark.slow
def test_the_path_over_three_processes() -> None:
    settings = path.Settings(
        queries=20,
        entries=300,
        edges=2,
        rounds=1,
        replay=replay.Settings(schemes=("jscc-fc-256",), seconds=1),
    )
    ticks: list[None] = []
    rows = path.measure(settings, lambda: ticks.append(None))
    assert len(ticks) == path.steps(settings)
    named = {row.name: row for row in rows}
    assert named["queries overlapping, 2 edges"].repetitions == 20
    single = named["one query at a time, file to answer, p99"]
    assert single.peer is not None
    assert single.ours > single.peer / 2
    replayed = [row for row in rows if row.name.startswith("symbols replayed")]
    assert len(replayed) == 3
    assert all("lost" not in row.note and "100.0% right" in row.note for row in replayed)
    stages = [row for row in rows if row.name.startswith("bare stage")]
    assert sum(row.ratio or 0 for row in stages) == pytest.approx(1, abs=0.01)
