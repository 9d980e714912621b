"""Integer tables of a learned density."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.digital.prior import Prior, quantise
from training.models.digital import EntropyBottleneck

TAIL = 1e-4
"""Most of a dimension's mass that may lie outside its table."""
WIDEST = 1023
"""Symbols of a table lie within -WIDEST .. WIDEST."""


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
