"""The answer cache against a model that keeps everything in plain lists."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from accesspoint.receiver.answer_cache import (
    AnswerCache,
    Cached,
    Conflict,
    Joined,
    Key,
    Limits,
    New,
)

LIMITS = Limits(per_edge=4, bytes_per_edge=3000, total=7, total_bytes=6000, seconds=100)
KEYS = st.builds(Key, st.sampled_from("abc"), st.sampled_from(["s", "t"]), st.integers(0, 5))
COST = 600 + 4 * (1 + 1)
"""Bytes that an answer takes beside its own, as the cache states it, and four for each
character of its block's name."""


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.cache: AnswerCache[int] = AnswerCache(LIMITS, lambda: self.now)
        self.open: dict[Key, tuple[str, list[int]]] = {}
        self.kept: list[tuple[Key, str, bytes, float]] = []
        self.asked = 0

    @rule(key=KEYS, fingerprint=st.sampled_from("xxxy"), later=st.sampled_from([0.0, 0.0, 30.0]))
    def ask(self, key: Key, fingerprint: str, later: float) -> None:
        self.now += later
        self.kept = [row for row in self.kept if row[3] > self.now - LIMITS.seconds]
        self.asked += 1
        verdict = self.cache.ask(key, fingerprint, self.asked)
        known = [row for row in self.kept if row[0] == key]
        if known:
            expected: object = Cached(known[0][2]) if known[0][1] == fingerprint else None
            assert verdict == expected if expected else isinstance(verdict, Conflict)
        elif key in self.open:
            if self.open[key][0] == fingerprint:
                self.open[key][1].append(self.asked)
                assert isinstance(verdict, Joined)
            else:
                assert isinstance(verdict, Conflict)
        else:
            assert isinstance(verdict, New)
            self.open[key] = fingerprint, []

    @precondition(lambda self: self.open)
    @rule(data=st.data(), size=st.one_of(st.none(), st.integers(0, 900), st.just(2500)))
    def answered(self, data: st.DataObject, size: int | None) -> None:
        key = data.draw(st.sampled_from(sorted(self.open)))
        fingerprint, waiting = self.open.pop(key)
        answer = None if size is None else bytes(size)
        assert self.cache.answered(key, answer) == waiting
        if answer is None or len(answer) + COST > LIMITS.bytes_per_edge:
            return
        self.kept.append((key, fingerprint, answer, self.now))
        self._trim([r for r in self.kept if r[0].edge_id == key.edge_id], 4, 3000)
        self._trim(self.kept, 7, 6000)

    def _trim(self, rows: list[tuple[Key, str, bytes, float]], count: int, size: int) -> None:
        rows = list(rows)
        while len(rows) > count or sum(len(r[2]) + COST for r in rows) > size:
            self.kept.remove(rows.pop(0))

    @rule(edge=st.sampled_from("abc"), spool=st.sampled_from(["s", "t"]), below=st.integers(0, 7))
    def settle(self, edge: str, spool: str, below: int) -> None:
        self.cache.settle(edge, spool, below)
        self.kept = [
            row
            for row in self.kept
            if (row[0].edge_id, row[0].spool_id) != (edge, spool) or row[0].sequence >= below
        ]

    @rule(sure=st.integers(0, 4))
    def clear(self, sure: int) -> None:
        if not sure:
            self.cache.clear()
            self.kept.clear()

    @invariant()
    def same_size(self) -> None:
        assert len(self.cache) == len(self.kept)
        assert self.cache.size == sum(len(row[2]) + COST for row in self.kept)


TestAnswerCache = Machine.TestCase
TestAnswerCache.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_nothing_is_kept_where_nothing_may_be() -> None:
    cache: AnswerCache[int] = AnswerCache(Limits(0, 1000, 10, 1000, 10), lambda: 0.0)
    for _ in range(3):
        assert isinstance(cache.ask(Key("a", "b", 1), "x", 1), New)
        cache.answered(Key("a", "b", 1), b"")
    assert len(cache) == cache.size == 0
