"""Successive-cancellation list decoding of polar codes, in NumPy, many blocks at once.

Tal and Vardy, *List decoding of polar codes*, IEEE Trans. Inf. Theory 61 (2015), with
log-likelihood ratios and exact check nodes (Balatsoukas-Stimming et al., 2015). Parts
of the tree whose bits are all frozen, all free, one repeated bit or one parity check
are decided in one step (Hashemi, Condo, Gross, *Fast and flexible successive-
cancellation list decoders*, IEEE Trans. Signal Process. 65, 2017): with exact check
nodes the metric of a whole part is the sum over its bits. Of the words of a part the
best as a whole are kept; bit by bit decoding may drop one of them on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from airreid.digital.polar import transform

Bits = NDArray[np.uint8]
Floats = NDArray[np.float64]
Places = NDArray[np.int64]
_NO_COPIES: Places = np.zeros((0, 2), np.int64)
Origin = NDArray[np.int64] | None
"""Number of the earlier path that each path came from; None if nothing moved."""

LIST_SIZES = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class _Node:
    """A part of the code tree."""

    kind: Literal["branch", "frozen", "free", "repetition", "parity"]
    size: int
    left: _Node | None = None
    right: _Node | None = None
    copies: Places | None = None
    """(n, 2) of a branch: places of bits in its left part that come again in the right one."""


def _plan(mask: NDArray[np.bool_], copies: Places) -> _Node:
    size = len(mask)
    if not len(copies):
        if not mask.any():
            return _Node("frozen", size)
        if mask.all():
            return _Node("free", size)
        if mask[-1] and not mask[:-1].any():
            return _Node("repetition", size)
        if not mask[0] and mask[1:].all():
            return _Node("parity", size)
    half = size // 2
    left, right = copies[copies[:, 1] < half], copies[copies[:, 0] >= half] - half
    across = copies[(copies[:, 0] < half) & (copies[:, 1] >= half)] - np.array([0, half])
    return _Node(
        "branch",
        size,
        _plan(mask[:half], left),
        _plan(mask[half:], right),
        across if len(across) else None,
    )


class ListDecoder:
    """Decoder of one polar code; holds no state between calls."""

    def __init__(
        self, mask: NDArray[np.bool_], list_size: int = 8, copies: Places = _NO_COPIES
    ) -> None:
        """``mask`` (N,): True where the message is; ``list_size`` one of LIST_SIZES.

        copies (n, 2): inputs whose bit comes again at a later input, which ``mask`` leaves out.
        """
        if list_size not in LIST_SIZES:
            raise ValueError(f"list size {list_size}; use one of {LIST_SIZES}")
        if (copies[:, 0] >= copies[:, 1]).any() or mask[copies[:, 1]].any():
            raise ValueError("copies: a bit comes again later, where the mask is False")
        self._root = _plan(mask, copies)
        self._list_size = list_size

    def decode(self, llrs: Floats) -> tuple[Bits, Floats]:
        """Returns codewords and their metrics, best first.

        llrs (b, N): ln P(0) / P(1) of every codeword bit. Returns codewords (b, l, N)
        and metrics (b, l), -ln of the probability up to a constant; l <= list_size.
        """
        search = _Search(len(llrs), self._list_size)
        codewords, _ = search.visit(self._root, np.ascontiguousarray(llrs, np.float64))
        metric = search.metric.reshape(len(llrs), -1)
        order = np.argsort(metric, axis=1, kind="stable")
        rows = np.arange(len(llrs))[:, None]
        return codewords.reshape(*metric.shape, -1)[rows, order], metric[rows, order]


class _Search:
    """The paths of one call: l for each of b blocks, block by block in arrays of b l rows."""

    def __init__(self, blocks: int, list_size: int) -> None:
        self.metric = np.zeros(blocks)
        """-ln of each path's probability, (b l,)."""
        self._list_size = list_size
        self._first = np.arange(blocks)[:, None]

    def visit(self, node: _Node, alpha: Floats) -> tuple[Bits, Origin]:
        """Decides a part: LLRs (b l, size) -> bits (b l', size) and where paths came from."""
        if node.left is not None and node.right is not None:
            return self._branch(node.left, node.right, node.copies, alpha)
        if node.kind == "frozen":
            self.metric = self.metric + _cost_of_zeros(alpha)
            return np.zeros(alpha.shape, np.uint8), None
        if node.kind == "repetition":
            return self._repetition(alpha)
        return self._free(alpha) if node.kind == "free" else self._parity(alpha)

    def _branch(
        self, left: _Node, right: _Node, copies: Places | None, alpha: Floats
    ) -> tuple[Bits, Origin]:
        a, b = alpha[:, : left.size], alpha[:, left.size :]
        first, origin = self.visit(left, np.logaddexp(0.0, a + b) - np.logaddexp(a, b))
        if origin is not None:
            alpha = alpha[origin]
            a, b = alpha[:, : left.size], alpha[:, left.size :]
        beta = b + np.where(first, -a, a)
        again = None
        if copies is not None:  # the code is linear: what is known comes off
            again = np.zeros_like(first)
            again[:, copies[:, 1]] = transform(first)[:, copies[:, 0]]
            again = transform(again)
            beta = np.where(again, -beta, beta)
        second, moved = self.visit(right, beta)
        if moved is not None:
            first = first[moved]
            again = again if again is None else again[moved]
            origin = moved if origin is None else origin[moved]
        if again is not None:
            second = second ^ again
        return np.concatenate([first ^ second, second], axis=1), origin

    def _keep(self, candidates: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Keeps the best of the candidates (b l, c): their paths (b l',) and choices (b l',)."""
        choices = candidates.shape[1]
        flat = candidates.reshape(len(self._first), -1)
        if flat.shape[1] > self._list_size:
            best = flat.argpartition(self._list_size - 1, axis=1)[:, : self._list_size]
            places = (best + self._first * flat.shape[1]).reshape(-1)
        else:
            places = np.arange(flat.size)
        self.metric = candidates.reshape(-1)[places]
        return places // choices, places % choices

    def _repetition(self, alpha: Floats) -> tuple[Bits, Origin]:
        zero = self.metric + _cost_of_zeros(alpha)
        origin, bit = self._keep(np.stack([zero, zero + alpha.sum(1)], axis=1))
        return np.repeat(bit.astype(np.uint8)[:, None], alpha.shape[1], axis=1), origin

    def _free(self, alpha: Floats) -> tuple[Bits, Origin]:
        """Takes hard decisions with some of the least reliable bits flipped."""
        table = flip_patterns(self._list_size, alpha.shape[1], None)
        base, weak, cost = self._hard(alpha, table.shape[1])
        origin, choice = self._keep(base[:, None] + cost @ table.T)
        return _flipped(alpha[origin], weak[origin], table[choice]), origin

    def _parity(self, alpha: Floats) -> tuple[Bits, Origin]:
        """Decides as :meth:`_free`, with an even number of ones."""
        tables = [flip_patterns(self._list_size, alpha.shape[1], odd) for odd in (0, 1)]
        base, weak, cost = self._hard(alpha, tables[0].shape[1])
        odd = np.bitwise_xor.reduce(alpha < 0, axis=1)
        costs = [cost[:, : table.shape[1]] @ table.T for table in tables]
        origin, choice = self._keep(base[:, None] + np.where(odd[:, None], costs[1], costs[0]))
        flips = np.where(odd[origin, None], tables[1][choice], tables[0][choice])
        return _flipped(alpha[origin], weak[origin], flips), origin

    def _hard(self, alpha: Floats, reach: int) -> tuple[Floats, NDArray[np.int64], Floats]:
        """Gives the metrics (b l,) of hard decisions, the ``reach`` least reliable places and what
        flipping each of them costs (b l, reach)."""
        reliability = np.abs(alpha)
        weak = reliability.argsort(axis=1)[:, :reach]
        cost = reliability[np.arange(len(alpha))[:, None], weak]
        return self.metric + _cost_of_zeros(reliability), weak, cost


def _cost_of_zeros(alpha: Floats) -> Floats:
    """Returns -ln of the probability that all bits of each row are 0."""
    cost: Floats = np.logaddexp(0.0, -alpha).sum(axis=1)
    return cost


def _flipped(alpha: Floats, weak: NDArray[np.int64], flips: Floats) -> Bits:
    """Returns hard decisions of each row with the flagged ones of its weak places turned over."""
    bits = (alpha < 0).view(np.uint8)
    bits[np.arange(len(bits))[:, None], weak] ^= flips.astype(np.uint8)
    return bits


@lru_cache(maxsize=1024)
def flip_patterns(list_size: int, size: int, parity: int | None) -> Floats:
    """Returns which of the least reliable bits may be flipped in one of the best decisions.

    Rows of 0 and 1 over the positions 1 .. r in order of reliability, least first. A set
    of flips is among the ``list_size`` cheapest only if fewer others cost at most as
    much whatever the reliabilities are. ``parity`` keeps the sets of even (0) or odd (1)
    size alone.
    """
    most = min(size, list_size)
    sets = [
        chosen
        for chosen in _subsets(most, list_size - 1)
        if parity is None or len(chosen) % 2 == parity
    ]
    tails = np.asarray([[sum(i >= t for i in chosen) for t in range(most)] for chosen in sets])
    cheaper = (tails[:, None, :] <= tails[None, :, :]).all(-1).sum(0) - 1
    rows = [chosen for chosen, count in zip(sets, cheaper, strict=True) if count < list_size]
    reach = max((i + 1 for chosen in rows for i in chosen), default=1)
    table = np.zeros((len(rows), reach))
    for row, chosen in enumerate(rows):
        table[row, list(chosen)] = 1.0
    table.flags.writeable = False
    return table


def _subsets(most: int, budget: int, start: int = 0) -> list[tuple[int, ...]]:
    """Returns sets of positions start .. most - 1 whose sum is at most ``budget``.

    With positions counted from 0 a set of sum s has s others of its size, or of a size
    smaller by two, that never cost more.
    """
    subsets: list[tuple[int, ...]] = [()]
    for first in range(start, min(most, budget + 1)):
        subsets += [(first, *rest) for rest in _subsets(most, budget - first, first + 1)]
    return subsets
