"""From a learned density to what goes over the air: integer tables and payload sizes."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.digital.prior import PRECISION, Prior, escape_bits, excess, quantise
from training.models.digital import EntropyBottleneck

TAIL = 1e-4
"""Most of a dimension's mass that may lie outside its table."""
WIDEST = 1023
"""Symbols of a table lie within -WIDEST .. WIDEST."""
MARGIN = 0.05
"""The largest payload size is this share above the longest message seen."""


@torch.no_grad()
def integer_prior(prior: EntropyBottleneck, latents: NDArray[np.integer]) -> Prior:
    """Integer tables of a learned prior: the probability of each integer, in float64.

    A table reaches over all of its dimension's integers in ``latents`` (N, d), rounded
    latents of the training features, and as far as it takes to leave no more than
    ``TAIL`` of the learned mass outside; never beyond ``WIDEST``. What stays outside is
    the probability of escape.
    """
    latents = np.clip(latents, -WIDEST, WIDEST)
    exact = copy.deepcopy(prior).double().eval()
    edges = torch.arange(-WIDEST, WIDEST + 2, dtype=torch.float64) - 0.5
    grid = edges[:, None].expand(-1, prior.dimensions)
    logits = exact.logits(grid)
    below = torch.sigmoid(logits).numpy()  # of the edge below each integer
    above = torch.sigmoid(-logits).numpy()  # beyond that edge, exact in the upper tail
    integers = torch.arange(-WIDEST, WIDEST + 1, dtype=torch.float64)
    mass = torch.exp2(-exact.bits(integers[:, None].expand(-1, prior.dimensions))).numpy()
    lows, counts = [], []
    for i in range(prior.dimensions):
        first = int(np.searchsorted(below[:, i], TAIL / 2, side="right")) - 1
        last = int(np.searchsorted(-above[:, i], -TAIL / 2, side="left")) - 1
        first = min(max(first, 0), int(latents[:, i].min()) + WIDEST)
        last = max(min(last, 2 * WIDEST), int(latents[:, i].max()) + WIDEST)
        outside = below[first, i] + above[last + 1, i]
        lows.append(first - WIDEST)
        counts.append(quantise(np.append(mass[first : last + 1, i], outside)))
    return Prior(low=tuple(lows), counts=tuple(counts))


def code_lengths(latents: NDArray[np.integer], tables: Prior) -> NDArray[np.float64]:
    """Ideal lengths in bits of latents (N, d): (N,). Many times ``tables.code_length``."""
    bits = np.zeros(len(latents))
    for column, low, row in zip(latents.T, tables.low, tables.counts, strict=True):
        size = len(row) - 1
        symbols = column.astype(np.int64) - low
        outside = (symbols < 0) | (symbols >= size)
        cost = PRECISION - np.log2(np.asarray(row, dtype=np.float64))
        bits += cost[np.where(outside, size, symbols)]
        for at in np.flatnonzero(outside):
            bits[at] += escape_bits(excess(int(column[at]), low, size))
    return bits


def payload_sizes(lengths: NDArray[np.integer], count: int = 4) -> tuple[int, ...]:
    """Growing payload sizes in bits, ``count`` at most, for messages of ``lengths`` (N,).

    Each message is padded to the least size that holds it; the sizes are those that
    make the mean padding least, found by dynamic programming over the lengths that
    occur. The largest one is the longest message and ``MARGIN`` more, because other
    people's messages may be longer (one that still does not fit is shortened where it
    is encoded). Fewer sizes where fewer lengths occur.
    """
    if count < 1 or not len(lengths):
        raise ValueError("needs at least one size and one message")
    values, times = np.unique(np.maximum(np.asarray(lengths, np.int64), 1), return_counts=True)
    longest = int(values[-1])
    sizes = np.append(values, longest + max(1, int(np.ceil(MARGIN * longest))))
    fit = np.append(np.cumsum(times), times.sum())  # messages that fit each size
    # cost[j]: least bits for all messages that fit sizes[j], the largest size used
    cost = sizes * fit.astype(np.float64)
    chosen: list[NDArray[np.int64]] = []
    for _ in range(min(count, len(sizes)) - 1):
        # sizes[i] and then sizes[j]: what fits j and not i is padded to j
        step = cost[:, None] + sizes * (fit - fit[:, None])
        step[np.tril_indices(len(sizes))] = np.inf
        before = np.concatenate([[cost], step])  # first row: one size fewer
        best = before.argmin(axis=0)
        chosen.append(best - 1)
        cost = before[best, np.arange(len(sizes))]
    path, at = [len(sizes) - 1], len(sizes) - 1
    for back in reversed(chosen):
        if back[at] >= 0:
            at = int(back[at])
            path.append(at)
    return tuple(int(sizes[at]) for at in reversed(path))
