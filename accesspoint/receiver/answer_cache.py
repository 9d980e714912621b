"""Idempotency of blocks: each is computed once, and a copy gets the answer of the first.

A block is known by (edge id, spool id, sequence). A copy that comes while the first is
under way waits for the same answer; one that comes later gets the cached answer. Answers
are cached in memory until the edge says that it has them, within bounds of count and bytes
for each edge and for all; when one is reached, the oldest go. A copy of a block whose
answer is gone, after a restart too, is computed again: the same answer unless the gallery
has changed.
"""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

W = TypeVar("W")
_OVERHEAD = 600
"""Bytes that a cached answer takes beside its own and those of its name, as measured: objects,
and places in the tables."""


class Key(NamedTuple):
    """A block's name."""

    edge_id: str
    spool_id: str
    sequence: int


@dataclass(frozen=True)
class Limits:
    """Bounds of what is cached; 0 caches nothing."""

    per_edge: int
    """Answers of one edge."""
    bytes_per_edge: int
    total: int
    """Answers of all edges together."""
    total_bytes: int
    seconds: float
    """Time after which an answer is forgotten."""


class New:
    """Verdict on a block that nobody knows: compute it, then call :meth:`AnswerCache.answered`."""


class Joined:
    """Verdict on a copy of a block that is under way: its answer will come for this one too."""


class Conflict:
    """Verdict on a block whose name another block has had."""


@dataclass(frozen=True)
class Cached:
    """Verdict on a copy of a block that has been answered."""

    answer: bytes


@dataclass
class _UnderWay(Generic[W]):
    """A block that is being computed, and the copies that wait for its answer."""

    fingerprint: Hashable
    waiting: list[W] = field(default_factory=list)


@dataclass(frozen=True)
class _Answer:
    fingerprint: Hashable
    data: bytes
    cached_at: float
    size: int
    """Bytes that it takes in memory, its name included."""


@dataclass
class _EdgeAnswers:
    """The answers of one edge, the oldest first."""

    keys: OrderedDict[Key, None] = field(default_factory=OrderedDict)
    sequences: dict[str, list[int]] = field(default_factory=dict)
    """Sequence numbers by spool id, ascending."""
    size: int = 0


class AnswerCache(Generic[W]):
    """Blocks under way and answers given, owned by one thread. ``W``: what waits for an answer."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds that only grow."""
        self._limits = limits
        self._clock = clock
        self._under_way: dict[Key, _UnderWay[W]] = {}
        self._answers: OrderedDict[Key, _Answer] = OrderedDict()
        self._edges: dict[str, _EdgeAnswers] = {}
        self.size = 0
        """Bytes of all cached answers."""

    def __len__(self) -> int:
        """Number of cached answers."""
        return len(self._answers)

    def ask(self, key: Key, fingerprint: Hashable, waiting: W) -> New | Joined | Conflict | Cached:
        """Returns what is to be done with a block.

        ``fingerprint`` is what all copies of a block share. ``waiting`` is given back by
        :meth:`answered` if the verdict is :class:`Joined`.
        """
        self._expire()
        answer = self._answers.get(key)
        if answer is not None:
            return Cached(answer.data) if answer.fingerprint == fingerprint else Conflict()
        under_way = self._under_way.get(key)
        if under_way is None:
            self._under_way[key] = _UnderWay(fingerprint)
            return New()
        if under_way.fingerprint != fingerprint:
            return Conflict()
        under_way.waiting.append(waiting)
        return Joined()

    def answered(self, key: Key, answer: bytes | None) -> list[W]:
        """Ends what :meth:`ask` began; returns the copies that wait.

        ``answer`` None caches nothing: a copy that comes later is computed again.
        """
        under_way = self._under_way.pop(key)
        if answer is not None:
            size = len(answer) + 4 * (len(key.edge_id) + len(key.spool_id)) + _OVERHEAD
            self._add(key, _Answer(under_way.fingerprint, answer, self._clock(), size))
        return under_way.waiting

    def has_waiting(self, key: Key) -> bool:
        """Returns whether copies wait for the answer of a block that is under way."""
        under_way = self._under_way.get(key)
        return under_way is not None and bool(under_way.waiting)

    def settle(self, edge_id: str, spool_id: str, below: int) -> None:
        """Forgets a spool's answers with lower sequence numbers: the edge has them."""
        edge = self._edges.get(edge_id)
        if edge is None or not below:
            return
        sequences = edge.sequences.get(spool_id, [])
        for sequence in sequences[: bisect.bisect_left(sequences, below)]:
            self._forget(Key(edge_id, spool_id, sequence))

    def clear(self) -> None:
        """Forgets all answers; what is under way stays."""
        self._answers.clear()
        self._edges.clear()
        self.size = 0

    def _add(self, key: Key, answer: _Answer) -> None:
        limits = self._limits
        if not limits.per_edge or answer.size > limits.bytes_per_edge:
            return
        if not limits.total or answer.size > limits.total_bytes:
            return
        edge = self._edges.setdefault(key.edge_id, _EdgeAnswers())
        self._answers[key] = answer
        edge.keys[key] = None
        bisect.insort(edge.sequences.setdefault(key.spool_id, []), key.sequence)
        edge.size += answer.size
        self.size += answer.size
        while len(edge.keys) > limits.per_edge or edge.size > limits.bytes_per_edge:
            self._forget(next(iter(edge.keys)))
        while len(self._answers) > limits.total or self.size > limits.total_bytes:
            self._forget(next(iter(self._answers)))

    def _expire(self) -> None:
        expired_at = self._clock() - self._limits.seconds
        while self._answers:
            oldest = next(iter(self._answers))
            if self._answers[oldest].cached_at > expired_at:
                return
            self._forget(oldest)

    def _forget(self, key: Key) -> None:
        answer = self._answers.pop(key)
        edge = self._edges[key.edge_id]
        del edge.keys[key]
        sequences = edge.sequences[key.spool_id]
        del sequences[bisect.bisect_left(sequences, key.sequence)]
        if not sequences:
            del edge.sequences[key.spool_id]
        edge.size -= answer.size
        self.size -= answer.size
        if not edge.keys:
            del self._edges[key.edge_id]
