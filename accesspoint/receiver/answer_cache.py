"""Which blocks are being answered and which have been: each is computed once.

A block is known by (edge id, spool id, sequence). A copy that comes while the first is
under way waits for the same answer; one that comes later gets the answer that was kept.
Answers are kept in memory until the edge says that it has them, within bounds of count and
bytes for each edge and for all; when one is reached, the oldest go. A copy of a block whose
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
_OVERHEAD = 300
"""Bytes that a kept answer takes beside its own."""


class Key(NamedTuple):
    """A block's name."""

    edge_id: str
    spool_id: str
    sequence: int


@dataclass(frozen=True)
class Limits:
    """Bounds of what is kept."""

    per_edge: int
    bytes_per_edge: int
    total: int
    total_bytes: int
    seconds: float


class New:
    """Nobody knows the block: compute it, then call :meth:`AnswerCache.answered`."""


class Joined:
    """The block is under way; its answer will come for this copy too."""


class Conflict:
    """Another block had this name."""


@dataclass(frozen=True)
class Kept:
    """The answer that the block had."""

    answer: bytes


@dataclass
class _Open(Generic[W]):
    sign: Hashable
    waiting: list[W] = field(default_factory=list)


@dataclass(frozen=True)
class _Answer:
    sign: Hashable
    data: bytes
    at: float

    @property
    def size(self) -> int:
        return len(self.data) + _OVERHEAD


@dataclass
class _Edge:
    answers: OrderedDict[Key, None] = field(default_factory=OrderedDict)
    spools: dict[str, list[int]] = field(default_factory=dict)
    """The answers' numbers by spool, ascending."""
    size: int = 0


class AnswerCache(Generic[W]):
    """``W``: what waits for an answer. Owned by one thread."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._open: dict[Key, _Open[W]] = {}
        self._kept: OrderedDict[Key, _Answer] = OrderedDict()
        self._edges: dict[str, _Edge] = {}
        self.size = 0
        """Bytes of all that is kept."""

    def __len__(self) -> int:
        """Answers that are kept."""
        return len(self._kept)

    def ask(self, key: Key, sign: Hashable, waiting: W) -> New | Joined | Conflict | Kept:
        """What is to be done with a block.

        ``sign`` is what all copies of a block share. ``waiting`` is given back by
        :meth:`answered` if the verdict is :class:`Joined`.
        """
        self._expire()
        kept = self._kept.get(key)
        if kept is not None:
            return Kept(kept.data) if kept.sign == sign else Conflict()
        under_way = self._open.get(key)
        if under_way is None:
            self._open[key] = _Open(sign)
            return New()
        if under_way.sign != sign:
            return Conflict()
        under_way.waiting.append(waiting)
        return Joined()

    def answered(self, key: Key, answer: bytes | None) -> list[W]:
        """Ends what :meth:`ask` began; returns the copies that wait.

        ``answer`` None keeps nothing: a copy that comes later is computed again.
        """
        under_way = self._open.pop(key)
        if answer is not None:
            self._keep(key, _Answer(under_way.sign, answer, self._clock()))
        return under_way.waiting

    def settle(self, edge_id: str, spool_id: str, below: int) -> None:
        """The edge has the answers of all blocks of this spool with lower numbers."""
        edge = self._edges.get(edge_id)
        if edge is None or not below:
            return
        numbers = edge.spools.get(spool_id, [])
        for sequence in numbers[: bisect.bisect_left(numbers, below)]:
            self._forget(Key(edge_id, spool_id, sequence))

    def clear(self) -> None:
        """Forgets all that is kept; what is under way stays."""
        self._kept.clear()
        self._edges.clear()
        self.size = 0

    def _keep(self, key: Key, answer: _Answer) -> None:
        limits = self._limits
        if not limits.per_edge or answer.size > limits.bytes_per_edge:
            return
        if not limits.total or answer.size > limits.total_bytes:
            return
        edge = self._edges.setdefault(key.edge_id, _Edge())
        self._kept[key] = answer
        edge.answers[key] = None
        bisect.insort(edge.spools.setdefault(key.spool_id, []), key.sequence)
        edge.size += answer.size
        self.size += answer.size
        while len(edge.answers) > limits.per_edge or edge.size > limits.bytes_per_edge:
            self._forget(next(iter(edge.answers)))
        while len(self._kept) > limits.total or self.size > limits.total_bytes:
            self._forget(next(iter(self._kept)))

    def _expire(self) -> None:
        before = self._clock() - self._limits.seconds
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest].at > before:
                return
            self._forget(oldest)

    def _forget(self, key: Key) -> None:
        answer = self._kept.pop(key)
        edge = self._edges[key.edge_id]
        del edge.answers[key]
        numbers = edge.spools[key.spool_id]
        del numbers[bisect.bisect_left(numbers, key.sequence)]
        if not numbers:
            del edge.spools[key.spool_id]
        edge.size -= answer.size
        self.size -= answer.size
        if not edge.answers:
            del self._edges[key.edge_id]
